-- Questions to a lake of Tidewheel, as DuckDB macros: what is right now, and what was known at a tick or time.
--
--   FROM bars_now('lake') WHERE interval = '1m' AND symbol = 'BTCUSDT' ORDER BY open_time;
--   FROM bars_known_at_tick('lake', 1722816120000);
--   FROM bars_known_at('lake', '2024-08-05 00:02:00+00');
--
-- Each gives one row for every (venue, symbol, interval, open_time): of its versions in bars_changelog the last that was
-- published until then, also if it was not final. A bar that was gone by then (all its trades cancelled) has no row. A tick
-- publishes one version of a bar, so that there are no ties. The lake must be written with `changelog = true`, as it is by
-- default. Filters on interval and date are pushed into the file names.

-- The last version of every bar.
CREATE OR REPLACE MACRO bars_now(lake) AS TABLE
    SELECT *
    FROM read_parquet(lake || '/bars_changelog/*/*/*.parquet', hive_partitioning = true)
    QUALIFY row_number() OVER (PARTITION BY venue, symbol, interval, open_time ORDER BY tick DESC) = 1
        AND trade_count > 0;

-- What was known at a tick: milliseconds since the epoch, itself included.
CREATE OR REPLACE MACRO bars_known_at_tick(lake, last_tick) AS TABLE
    SELECT *
    FROM read_parquet(lake || '/bars_changelog/*/*/*.parquet', hive_partitioning = true)
    WHERE tick <= last_tick
    QUALIFY row_number() OVER (PARTITION BY venue, symbol, interval, open_time ORDER BY tick DESC) = 1
        AND trade_count > 0;

-- What was known at a time; text without an offset is in the session's time zone.
CREATE OR REPLACE MACRO bars_known_at(lake, moment) AS TABLE
    SELECT *
    FROM read_parquet(lake || '/bars_changelog/*/*/*.parquet', hive_partitioning = true)
    WHERE tick <= epoch_ms(moment::TIMESTAMPTZ)
    QUALIFY row_number() OVER (PARTITION BY venue, symbol, interval, open_time ORDER BY tick DESC) = 1
        AND trade_count > 0;

-- The same questions of features: a view's rows as they are now, and as they were known at a tick or time.
--
--   FROM features_now('lake', 'core_technical') WHERE symbol = 'BTCUSDT' ORDER BY event_time;
--
-- Each gives one row for every (venue, symbol, event_time): the last version published until then, unless it took the row back.
CREATE OR REPLACE MACRO features_now(lake, name) AS TABLE
    SELECT *
    FROM read_parquet(lake || '/features/view=' || name || '/*/*.parquet', hive_partitioning = true, union_by_name = true)
    QUALIFY row_number() OVER (PARTITION BY venue, symbol, event_time ORDER BY tick DESC) = 1
        AND NOT is_removed;

-- What was known at a tick: milliseconds since the epoch, itself included.
CREATE OR REPLACE MACRO features_known_at_tick(lake, name, last_tick) AS TABLE
    SELECT *
    FROM read_parquet(lake || '/features/view=' || name || '/*/*.parquet', hive_partitioning = true, union_by_name = true)
    WHERE tick <= last_tick
    QUALIFY row_number() OVER (PARTITION BY venue, symbol, event_time ORDER BY tick DESC) = 1
        AND NOT is_removed;

-- What was known at a time; text without an offset is in the session's time zone.
CREATE OR REPLACE MACRO features_known_at(lake, name, moment) AS TABLE
    SELECT *
    FROM read_parquet(lake || '/features/view=' || name || '/*/*.parquet', hive_partitioning = true, union_by_name = true)
    WHERE tick <= epoch_ms(moment::TIMESTAMPTZ)
    QUALIFY row_number() OVER (PARTITION BY venue, symbol, event_time ORDER BY tick DESC) = 1
        AND NOT is_removed;
