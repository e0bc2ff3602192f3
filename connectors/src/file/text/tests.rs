//! Files of text in, messages and rejects out.

use crate::decode::Format;
use crate::file::{FileOptions, open_inputs};
use crate::source::{MessageBlock, Progress, Work};
use std::io::Write;
use std::path::Path;
use tidewheel_schemas::RejectReason;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = zstd::Encoder::new(Vec::new(), 1).expect("memory");
    out.include_checksum(true).expect("an option");
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}

fn blocks_of(path: &Path, options: &FileOptions) -> Vec<MessageBlock> {
    let mut readers = open_inputs(&[path.display().to_string()], options).expect("a file that opens");
    assert_eq!(readers.len(), 1);
    let mut blocks = Vec::new();
    let mut end = 1;
    while let Some(work) = readers[0].read().expect("a file that reads") {
        let Work::Messages(block) = work else { panic!("text gives messages") };
        assert!(block.messages.is_sorted_by(|a, b| a.position < b.position));
        let positions = block.messages.iter().map(|message| message.position);
        let all = positions.chain(block.rejects.iter().map(|reject| reject.position));
        all.for_each(|position| assert!((end..block.end_position).contains(&position)));
        end = block.end_position;
        blocks.push(block);
    }
    assert!(readers[0].read().expect("a file that reads").is_none(), "the end stays the end");
    let size = std::fs::metadata(path).expect("a file").len();
    assert_eq!(readers[0].progress(), Progress { done: size, total: size });
    blocks
}

/// One line a message (`position receive-time text`) and a reject (`position reason raw`), in order of position.
fn transcript(blocks: &[MessageBlock]) -> Vec<String> {
    let mut lines = Vec::new();
    for block in blocks {
        for message in &block.messages {
            let time = message.receive_time_ns.map_or(String::new(), |time| format!("@{time} "));
            let text = String::from_utf8_lossy(block.payload(message));
            lines.push((message.position, format!("{} {time}{text}", message.position)));
        }
        for reject in &block.rejects {
            let raw = String::from_utf8_lossy(&reject.raw);
            lines.push((reject.position, format!("{} {}! {raw}", reject.position, reject.reason)));
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

fn read(name: &str, bytes: &[u8], options: &FileOptions) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).expect("a file");
    transcript(&blocks_of(&path, options))
}

/// The same whatever the packing and the size of the blocks.
fn check(text: &str, expected: &[&str]) {
    for block_bytes in [1, 2, 3, 7, 64, 1 << 20] {
        let options = FileOptions { block_bytes, max_message_bytes: 40, ..FileOptions::default() };
        assert_eq!(read("a.json", text.as_bytes(), &options), expected, "blocks of {block_bytes} bytes of {text:?}");
        assert_eq!(
            read("a.json.gz", &gzip(text.as_bytes()), &options),
            expected,
            "gzip, blocks of {block_bytes} bytes"
        );
        assert_eq!(read("a.zst", &zstd(text.as_bytes()), &options), expected, "zstd, blocks of {block_bytes} bytes");
    }
}

#[test]
fn lines() {
    check("", &[]);
    check("\n\r\n  \n", &[]);
    check("{\"a\":1}\n{\"b\":2}\n", &["1 {\"a\":1}", "2 {\"b\":2}"]);
    check("{\"a\":1}\r\n\r\n{\"b\":2}", &["1 {\"a\":1}", "3 {\"b\":2}"]);
    check("\u{feff}{}\nx", &["1 {}", "2 x"]);
    check("[0,[[\"5\"]],\"trade\",\"XBT/USD\"]\n", &["1 [0,[[\"5\"]],\"trade\",\"XBT/USD\"]"]);
    check("{\"a\n{}", &["1 {\"a", "2 {}"]);
}

#[test]
fn receive_times() {
    check(
        "1723161253937085768 {}\n1618678132.8: []\n5 x",
        &["1 @1723161253937085768 {}", "2 @1618678132800000000 []", "3 5 x"],
    );
}

#[test]
fn too_long_lines_are_rejected_and_the_rest_is_read() {
    let long = "x".repeat(41);
    check(&format!("a\n{long}\nb\n"), &["1 a", &format!("2 oversized! {long}"), "3 b"]);
    check(&format!("{}\n", "y".repeat(40)), &[&format!("1 {}", "y".repeat(40))]);
    let options = FileOptions { max_message_bytes: 1 << 20, ..FileOptions::default() };
    let text = format!("a\n{}\nb\n{}", "x".repeat(10 << 20), "y".repeat(3 << 20));
    let raw = "x".repeat(64 << 10);
    let expected =
        ["1 a".into(), format!("2 oversized! {raw}"), "3 b".into(), format!("4 oversized! {}", raw.replace('x', "y"))];
    assert!(read("a.json", text.as_bytes(), &options) == expected);
}

#[test]
fn documents() {
    check("[{\"a\":1},{\"b\":[2,{}]}]", &["1 {\"a\":1}", "2 {\"b\":[2,{}]}"]);
    check("[\n  {\"a\": \"],\\\"[{\"},\n  [1, 2],\n  3\n]\n", &["1 {\"a\": \"],\\\"[{\"}", "2 [1, 2]", "3 3"]);
    check("{\n \"a\": {\"b\": 1}\n}\n{\n}\n", &["1 {\n \"a\": {\"b\": 1}\n}", "2 {\n}"]);
    check("[]", &["1 []"]);
    check("[\n]", &[]);
    check("[\n1,\n", &["1 1", "2 truncated! "]);
    check("[\n1,\n{\"a\":", &["1 1", "2 truncated! {\"a\":"]);
    check("{\n\"a\":", &["1 truncated! {\n\"a\":"]);
    check("[\n1]\nstray\n", &["1 1", "2 stray"]);
}

#[test]
fn too_long_elements_are_rejected_and_the_rest_is_read() {
    let text = format!("[\n1,\"{}\",3]", "x".repeat(60));
    for block_bytes in [1, 16, 50, 1 << 20] {
        let options = FileOptions { block_bytes, max_message_bytes: 40, ..FileOptions::default() };
        let got = read("a.json", text.as_bytes(), &options);
        // How much of the element is known depends on the blocks, that it is long does not.
        assert_eq!((got.len(), &*got[0], &*got[2]), (3, "1 1", "3 3"));
        assert!(got[1].starts_with("2 oversized! \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
    }
}

#[test]
fn batches_on_lines_of_their_own_stay_lines() {
    let options = FileOptions::default();
    let text = "[{\"a\":1},{\"b\":2}]\n[{\"c\":3}]\n";
    assert_eq!(read("a.json", text.as_bytes(), &options), ["1 [{\"a\":1},{\"b\":2}]", "2 [{\"c\":3}]"]);
    // With no other line it is a document.
    assert_eq!(read("a.json", b"[{\"a\":1},{\"b\":2}]\n", &options), ["1 {\"a\":1}", "2 {\"b\":2}"]);
}

#[test]
fn csv_headers() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.csv");
    std::fs::write(&path, "time,price\r\n\r\n1514764802610 x,2\n[3,4\n").expect("a file");
    for (format, csv_header, header, first) in [
        (Format::Auto, true, Some("time,price"), 3),
        (Format::Csv, true, Some("time,price"), 3),
        (Format::Csv, false, None, 1),
    ] {
        for block_bytes in [4, 1 << 20] {
            let blocks = blocks_of(&path, &FileOptions { format, csv_header, block_bytes, ..FileOptions::default() });
            assert!(blocks.iter().all(|block| block.header.as_deref() == header));
            assert_eq!(blocks[0].messages[0].position, first);
            let lines = transcript(&blocks);
            assert_eq!(lines[lines.len() - 2..], ["3 1514764802610 x,2", "4 [3,4"]);
        }
    }
}

#[test]
fn gzip_of_many_members() {
    let bytes = [gzip(b"a\nb"), gzip(b"c\n"), gzip(b""), gzip(b"d")].concat();
    assert_eq!(read("a.gz", &bytes, &FileOptions::default()), ["1 a", "2 bc", "3 d"]);
    let bytes = [zstd(b"a\nb"), zstd(b"c\n")].concat();
    assert_eq!(read("a", &bytes, &FileOptions::default()), ["1 a", "2 bc"], "told by its first bytes");
}

#[test]
fn damaged_streams_give_all_that_can_be_read_and_one_reject() {
    let lines: Vec<String> =
        (1..=100_000u64).map(|line| format!("{line} {{\"n\":{}}}", line * 2_654_435_761u64 % 4_294_967_291)).collect();
    let text: String = lines.iter().map(|line| format!("{}\n", &line[line.find('{').expect("a brace")..])).collect();
    for (name, packed) in [("a.gz", gzip(text.as_bytes())), ("a.zst", zstd(text.as_bytes()))] {
        for kept in [packed.len() / 2, packed.len() - 1, 11, 3] {
            let got = read(name, &packed[..kept], &FileOptions::default());
            let (last, whole) = got.split_last().expect("at least the reject");
            assert_eq!(whole, &lines[..whole.len()], "{name} cut to {kept} bytes");
            assert!(last.starts_with(&format!("{} truncated! ", whole.len() + 1)), "{last}");
            assert!(kept < packed.len() / 2 || whole.len() > 5_000, "{name}: only {} lines", whole.len());
        }
        let mut flipped = packed.clone();
        flipped[packed.len() / 2] ^= 0x55;
        let got = read(name, &flipped, &FileOptions::default());
        assert!(got.last().is_some_and(|last| last.contains(RejectReason::Truncated.name())));
    }
}

#[test]
fn what_cannot_be_opened_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.parquet");
    std::fs::write(&path, "PAR1 but not really").expect("a file");
    let error = |options| open_inputs(&[path.display().to_string()], &options).err().expect("an error").to_string();
    assert!(error(FileOptions::default()).contains("a.parquet"));
    assert!(error(FileOptions::default()).contains("write it again"));
    let none = open_inputs(&[], &FileOptions::default()).err().expect("an error").to_string();
    assert_eq!(none, "no input: name a file, a directory or a glob");
}

#[test]
fn recorded_documents_fall_into_their_messages() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !data.exists() {
        return println!("skipped: there is no recorded data at {}", data.display());
    }
    let messages = |name: &str| blocks_of(&data.join(name), &FileOptions::default());
    let count = |blocks: &[MessageBlock]| blocks.iter().map(|block| block.messages.len()).sum::<usize>();
    let aggregated = messages("agg_trades/XRPETH-aggTrades-2019-10-11_13.json.gz");
    assert_eq!(count(&aggregated), 12_477);
    let all = aggregated.iter().flat_map(|block| block.messages.iter().map(|message| block.payload(message)));
    all.for_each(|text| assert!(text.starts_with(b"{\"info\":{") && text.ends_with(b"\"fee\":null}")));
    assert_eq!(count(&messages("kraken/trades.json")), 1);
    assert_eq!(count(&messages("captures/binance_spot_market_data_with_disconnect_events.json")), 24);
    assert_eq!(count(&messages("captures/binance_spot_trades_l1_btcusdt_ethusdt_solusdt.json.gz")), 50_000);
    let wire = messages("binance_wire/spot_btcusdt_20240808.gz");
    assert_eq!(count(&wire), 41_249);
    assert!(wire.iter().flat_map(|block| &block.messages).all(|message| message.receive_time_ns.is_some()));
    assert!(wire.iter().all(|block| block.rejects.is_empty()));
}
