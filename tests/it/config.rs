//! Config files and environments in, configurations or complaints out.

use std::path::Path;
use tidewheel::config::{Cadence, Config, TimeSpan, example};

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What is wrong with a text, as it is printed.
fn complaint(text: &str, variables: &[(&str, &str)]) -> String {
    match Config::parse(text, &environment(variables)) {
        Ok(config) => panic!("{text:?} with {variables:?} was taken: {config:?}"),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn the_example_reads_back_as_the_defaults() {
    assert_eq!(Config::parse(&example(), &[]), Ok(Config::default()));
}

#[test]
fn fields_that_the_example_leaves_out_have_the_type_it_shows() {
    let is_field = |line: &str| line.strip_prefix('#').is_some_and(|rest| !rest.is_empty() && !rest.starts_with(' '));
    let text: String = example().lines().map(|line| if is_field(line) { &line[1..] } else { line }).fold(
        String::new(),
        |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        },
    );
    let problem = "source.csv: a column map is of use for csv only: remove it, or set source.format to \"csv\"";
    assert!(complaint(&text, &[]).ends_with(problem), "{}", complaint(&text, &[]));
    Config::parse(&text.replace("format = \"auto\"", "format = \"csv\""), &[]).expect("a whole configuration");
}

#[test]
fn the_example_file_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/tidewheel.example.toml");
    if std::env::var_os("TIDEWHEEL_TEST_REWRITE").is_some() {
        std::fs::create_dir_all(path.parent().expect("in a folder")).expect("the folder can be made");
        std::fs::write(&path, example()).expect("the file can be written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == example(), "{} is stale: run the tests with TIDEWHEEL_TEST_REWRITE=1", path.display());
}

#[test]
fn what_cannot_be_is_refused_with_line_and_field() {
    let all_at_once = "workers = 0\n[bars]\ntick = \"2m\"\nhorizon = \"1s\"\n[lake]\nzstd_level = 40\n";
    let cases: &[(&str, &str)] = &[
        // Not TOML, or not of the right type.
        ("workers = ", "line 1: string values must be quoted, expected literal string"),
        ("[source]\ntopics = [\"a\"\n", "line 2: unclosed array, expected `]`"),
        ("[lake]\n[lake]\n", "line 2: duplicate key"),
        ("workers = \"four\"\n[lake]", "line 1: workers: invalid type: string \"four\", expected u16"),
        ("workers = -1\n[lake]", "line 1: workers: invalid value: integer `-1`, expected u16"),
        ("source = 5\n[lake]", "line 1: source: invalid type: integer `5`, expected struct SourceSection"),
        (
            "[lake]\n[source]\n\ntopics = [\n  \"a\",\n  5 ]",
            "line 4: source.topics: invalid type: integer `5`, expected a string",
        ),
        (
            "[lake]\n[source]\nformat = \"nasdaq\"",
            "line 3: source.format: unknown variant `nasdaq`, expected one of `auto`, `canonical`, `binance`, `cryptofeed`, \
             `bybit`, `coinbase`, `kraken`, `csv`, `parquet`",
        ),
        (
            "[lake]\n[bars]\nhorizon = \"soon\"",
            "line 3: bars.horizon: \"soon\" is not a length of time: write it like \"100ms\", \"5s\", \"1m\", \"1h 30m\"",
        ),
        ("[lake]\n[bars]\nlateness = \"-1s\"", "line 3: bars.lateness: \"-1s\" is below zero"),
        (
            "[lake]\n[bars]\nintervals = [\"1m\", \"2m\"]",
            "line 3: bars.intervals: unknown interval \"2m\", expected one of 1s, 1m, 5m, 15m, 1h, 4h, 1d",
        ),
        (
            "[lake]\n[source.properties]\nrate = 0.5",
            "line 3: source.properties.rate: a property must be text, a whole number, true or false; put other values in quotes",
        ),
        (
            "[lake]\n[source.csv]\ntime_unit.signed = true",
            "line 3: source.csv.time_unit.signed: unknown variant `signed`, expected one of `auto`, `s`, `ms`, `us`, `ns`",
        ),
        // Keys nobody knows.
        ("wrokers = 4\n[lake]", "line 1: wrokers: unknown key; did you mean workers?"),
        ("[lake]\n[bar]", "line 2: bar: unknown key; did you mean bars?"),
        ("[lake]\n[bars]\nhorizn = \"1h\"", "line 3: bars.horizn: unknown key; did you mean horizon?"),
        ("[lake]\nhorizon = \"1h\"", "line 2: lake.horizon: unknown key here; it belongs under [bars]"),
        ("[lake]\nworkers = 2", "line 2: lake.workers: unknown key here; it belongs above the first section"),
        (
            "xyzzy = 1",
            "line 1: xyzzy: unknown key; there are workers, source, source.csv, bars, features, control, scoring, signals, risk, kafka, lake, recovery, http",
        ),
        ("[source.cvs]\n[lake]", "line 1: source.cvs: unknown key; did you mean csv?"),
        (
            "[lake]\na_ = 1\npaht = 2",
            "\n  line 2: lake.a_: unknown key; there are enabled, path, archive, changelog, commit_every, max_rows_per_file, zstd_level, max_waiting_rows\n  line 3: lake.paht: unknown key; did you mean path?",
        ),
        // Limits and contradictions.
        ("", "lake.enabled: no output is on: add a [kafka] or a [lake] section, or set its enabled to true"),
        (
            "[kafka]\nenabled = false",
            "line 2: kafka.enabled: no output is on: add a [kafka] or a [lake] section, or set its enabled to true",
        ),
        ("workers = 257\n[lake]", "line 1: workers: must be 1 to 256; leave it out for one a core"),
        (
            all_at_once,
            "\n  line 1: workers: must be 1 to 256; leave it out for one a core\
             \n  line 3: bars.tick: must be whole milliseconds from 1ms to 1m, is 2m\
             \n  line 4: bars.horizon: 1s is shorter than bars.lateness 5s: trades would be late for bars still open\
             \n  line 2: bars.provisional_every: 1s is shorter than bars.tick 2m: lengthen it, or shorten the tick\
             \n  line 5: lake.commit_every: 30s must be at least bars.tick 2m and at most 24h\
             \n  line 6: lake.zstd_level: must be 1 to 22, is 40",
        ),
        ("[lake]\n[bars]\ntick = \"0s\"", "line 3: bars.tick: must be whole milliseconds from 1ms to 1m, is 0s"),
        (
            "[lake]\n[bars]\ntick = \"1500us\"",
            "line 3: bars.tick: must be whole milliseconds from 1ms to 1m, is 1ms 500µs",
        ),
        (
            "[lake]\n[bars]\nhorizon = \"721h\"",
            "line 3: bars.horizon: 721h is longer than 720h, more than memory should hold",
        ),
        (
            "[lake]\n[bars]\nskew = \"25h\"",
            "line 3: bars.skew: 25h is longer than 24h: trades dated so far ahead would make bars final too soon",
        ),
        (
            "[lake]\n[bars]\nprovisional_every = \"50ms\"",
            "line 3: bars.provisional_every: 50ms is shorter than bars.tick 100ms: lengthen it, or shorten the tick",
        ),
        (
            "[lake]\n[bars]\nintervals = []",
            "line 3: bars.intervals: is empty: name at least one of 1s, 1m, 5m, 15m, 1h, 4h, 1d",
        ),
        ("[lake]\n[bars]\nintervals = [\"1m\", \"1m\"]", "line 3: bars.intervals: 1m is named twice: remove one"),
        ("[lake]\n[source]\ntopics = []", "line 3: source.topics: is empty: name at least one topic to read"),
        ("[lake]\n[source]\ntopics = [\"a\", \"a\"]", "line 3: source.topics: \"a\" is named twice: remove one"),
        (
            "[lake]\n[source]\ntopics = [\"a b\"]",
            "line 3: source.topics: \"a b\" is no name for a topic: use letters, digits and ._-",
        ),
        (
            "[lake]\n[source]\nbrokers = \"kafka:none\"",
            "line 3: source.brokers: \"kafka:none\" is no address: write host:port, several with commas between",
        ),
        (
            "[lake]\n[source]\nformat = \"parquet\"",
            "line 3: source.format: parquet is read from files, not from topics: use `tidewheel replay`, or name the format \
             of the messages",
        ),
        ("[lake]\n[source]\nvenue = \"Binance\"", "line 3: source.venue: write it in lower case: \"binance\""),
        (
            "[lake]\n[source]\nsymbol = \"BTC|USDT\"",
            "line 3: source.symbol: symbol holds a character other than letters, digits and ._-/:@+#",
        ),
        ("[lake]\n[source]\nmax_message_bytes = 0", "line 3: source.max_message_bytes: must be 1 to 1000000000"),
        (
            "[lake]\n[source.csv]\ntime = 1",
            "line 2: source.csv: a column map is of use for csv only: remove it, or set source.format to \"csv\"",
        ),
        (
            "[lake]\n[source]\nformat = \"csv\"\nvenue = \"binance\"",
            "line 2: source.symbol: csv messages need a symbol: set source.symbol, or source.csv.symbol to its column",
        ),
        (
            "[lake]\n[source]\nformat = \"csv\"\nvenue = \"binance\"\n[source.csv]\nsymbol = 2\nid = 0\ndelimiter = \"€\"",
            "\n  line 7: source.csv.id: columns count from 1\
             \n  line 6: source.csv.symbol: column 2 is that of source.csv.price already\
             \n  line 8: source.csv.delimiter: must be one ASCII character other than a quote or a line end",
        ),
        ("[kafka]\nprefix = \"bars/\"", "line 2: kafka.prefix: is no name for a topic: use letters, digits and ._-"),
        (
            "[kafka]\n[source]\ntopics = [\"tidewheel.bars.1m\"]",
            "line 1: kafka.prefix: \"tidewheel.bars.1m\" would be read and written, a circle without end: choose another prefix",
        ),
        ("[kafka]\npartitions = 0", "line 2: kafka.partitions: must be 1 to 10000"),
        ("[kafka]\ntransaction_timeout = \"20m\"", "line 2: kafka.transaction_timeout: must be 1s to 15m"),
        ("[kafka]\nreplication = 0", "line 2: kafka.replication: must be -1 (the broker's default) or 1 to 100"),
        (
            "[kafka]\ntransactional_id = \"\"",
            "line 2: kafka.transactional_id: is empty: name the writer, or leave the field out",
        ),
        ("[lake]\npath = \"\"", "line 2: lake.path: is empty: name the folder"),
        ("[lake]\nmax_rows_per_file = 0", "line 2: lake.max_rows_per_file: must be at least 1"),
        (
            "[lake]\n[http]\nlisten = \"9464\"",
            "line 3: http.listen: \"9464\" is no address: write host:port, as in 127.0.0.1:9464",
        ),
        (
            "[lake]\n[http]\nstalled_after = \"500ms\"",
            "line 3: http.stalled_after: 500ms must be at least 2s and bars.tick 100ms",
        ),
        ("[lake]\n[risk]\nscenarios = 10001", "line 3: risk.scenarios: must be 2 to 10000, is 10001"),
        ("[lake]\n[risk]\nscenarios_min = 501", "line 3: risk.scenarios_min: must be 2 to risk.scenarios, is 501"),
        (
            "[lake]\n[bars]\nhorizon = \"90s\"\n[risk]",
            "line 3: bars.horizon: 1m 30s is not whole minutes, by which risk keeps its samples",
        ),
        (
            "[lake]\n[risk.policy]\nversion = 1\nday_boundary_minutes = 1440",
            "line 2: risk.policy: day_boundary_minutes: a day has 1440 minutes",
        ),
        (
            "[lake]\n[control]\ntopic = \"orders\"",
            "scoring.registry: missing: promotions of control.topic are loaded from the registry of models; or add a [risk] section",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(complaint(text, &[]), *expected, "{text}");
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let text =
        "[source]\nbrokers = \"a:1\"\n[source.properties]\nsasl.password = \"file\"\nsasl.username = \"u\"\nx = 1\n";
    let variables = environment(&[
        ("HOME", "/home/somebody"),
        ("TIDEWHEEL_BARS__INTERVALS", "1m, 1h"),
        ("TIDEWHEEL_BARS__PROVISIONAL_EVERY", "none"),
        ("TIDEWHEEL_CONFIG", "elsewhere.toml"),
        ("TIDEWHEEL_KAFKA__ENABLED", "false"),
        ("TIDEWHEEL_LAKE__PATH", "/data/lake"),
        ("TIDEWHEEL_LOG", "info"),
        ("TIDEWHEEL_LOG_FORMAT", "json"),
        ("TIDEWHEEL_FAULT", "lake.staged=kill"),
        ("TIDEWHEEL_SOURCE__BROKERS", "b:2,c:3"),
        ("TIDEWHEEL_SOURCE__PROPERTIES__SASL_PASSWORD", "hunter2"),
        ("TIDEWHEEL_TEST_SEED", "5"),
        ("TIDEWHEEL_WORKERS", "3"),
    ]);
    let config = Config::parse(text, &variables).expect("a configuration");
    assert_eq!(config.workers, Some(3));
    assert_eq!(config.source.brokers, "b:2,c:3");
    assert_eq!(config.bars.intervals.len(), 2);
    assert_eq!(config.bars.provisional_every, Cadence::Never);
    assert_eq!(config.bars.horizon, TimeSpan::from_secs(3_600));
    assert!(config.kafka().is_none());
    assert_eq!(config.lake().map(|lake| lake.path.as_path()), Some(Path::new("/data/lake")));
    let properties: Vec<_> = config.source.properties.reveal().iter().collect();
    assert_eq!(format!("{properties:?}"), r#"[("sasl.password", "hunter2"), ("sasl.username", "u"), ("x", "1")]"#);
    assert!(!format!("{config:?}").contains("hunter2"), "secrets are not printed");
}

#[test]
fn what_the_environment_cannot_say_is_refused_with_the_variable() {
    let cases: &[(&str, &str, &str)] = &[
        ("TIDEWHEEL_WORKERS", "many", "workers: invalid type: string \"many\", expected u16"),
        ("TIDEWHEEL_BARS__TICK", "0s", "bars.tick: must be whole milliseconds from 1ms to 1m, is 0s"),
        ("TIDEWHEEL_SOURCE__TOPICS", "", "source.topics: is empty: name at least one topic to read"),
        ("TIDEWHEEL_LAKE__ARCHIVE", "yes", "lake.archive: invalid type: string \"yes\", expected a boolean"),
        ("TIDEWHEEL_WORKER", "4", "it sets no field; did you mean TIDEWHEEL_WORKERS?"),
        ("TIDEWHEEL_BARS_HORIZON", "1h", "it sets no field; did you mean TIDEWHEEL_BARS__HORIZON?"),
        (
            "TIDEWHEEL_X",
            "1",
            "it sets no field; a field's variable is TIDEWHEEL_<SECTION>__<FIELD>, as TIDEWHEEL_SOURCE__BROKERS",
        ),
        (
            "TIDEWHEEL_SOURCE__PROPERTIES",
            "a=b",
            "source.properties: one variable sets one property: TIDEWHEEL_SOURCE__PROPERTIES__SASL_PASSWORD sets \
             sasl.password",
        ),
    ];
    for (name, value, expected) in cases {
        let expected = format!("environment variable {name}: {expected}");
        assert_eq!(complaint("[lake]", &[(name, value)]), expected, "{name}={value}");
    }
}

#[test]
fn a_missing_file_names_the_path_and_the_way_out() {
    let error = Config::load(Path::new("nowhere.toml"), &[]).expect_err("there is no such file");
    let text = "could not read config file nowhere.toml: No such file or directory (os error 2); `tidewheel config` prints \
                an example to start from";
    assert_eq!(error.to_string(), text);
}
