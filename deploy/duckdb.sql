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

-- What the market said beside its trades, from a lake with an archive: the newest quote of each instrument, its mark price and
-- funding (a message leaves out what has not changed), and the levels of all books, one a row.
--
--   FROM quotes_now('lake');
--   FROM book_levels('lake') WHERE symbol = 'BTCUSDT' AND is_snapshot ORDER BY sequence, side, level;
CREATE OR REPLACE MACRO quotes_now(lake) AS TABLE
    SELECT *
    FROM read_parquet(lake || '/quotes/*/*.parquet', hive_partitioning = true, union_by_name = true)
    QUALIFY row_number() OVER (
        PARTITION BY venue, symbol
        ORDER BY event_time_ns DESC, update_id DESC NULLS LAST, tick DESC, position DESC, position_index DESC
    ) = 1;

CREATE OR REPLACE MACRO marks_now(lake) AS TABLE
    SELECT
        venue,
        symbol,
        max(event_time) AS event_time,
        max_by(mark_price, event_time_ns) FILTER (WHERE mark_price IS NOT NULL) AS mark_price,
        max_by(index_price, event_time_ns) FILTER (WHERE index_price IS NOT NULL) AS index_price,
        max_by(funding_rate, event_time_ns) FILTER (WHERE funding_rate IS NOT NULL) AS funding_rate,
        max_by(next_funding_time, event_time_ns) FILTER (WHERE next_funding_time IS NOT NULL) AS next_funding_time
    FROM read_parquet(lake || '/marks/*/*.parquet', hive_partitioning = true, union_by_name = true)
    GROUP BY venue, symbol;

CREATE OR REPLACE MACRO book_levels(lake) AS TABLE
    SELECT
        venue, symbol, event_time, sequence, is_snapshot, tick, side,
        unnest(levels).price AS price,
        unnest(levels).quantity AS quantity,
        generate_subscripts(levels, 1) AS level
    FROM (
        SELECT *, 'bid' AS side, bids AS levels FROM read_parquet(lake || '/books/*/*.parquet', hive_partitioning = true, union_by_name = true)
        UNION ALL
        SELECT *, 'ask' AS side, asks AS levels FROM read_parquet(lake || '/books/*/*.parquet', hive_partitioning = true, union_by_name = true)
    );
