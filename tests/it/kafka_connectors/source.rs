//! Reading: partitions, positions, ends, and errors that say what to do.

use super::{drain, held, lines};
use crate::harness::kafka::{PATIENCE, broker, queue};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tidewheel_connectors::kafka::KafkaError;
use tidewheel_connectors::kafka::check::list_topics;
use tidewheel_connectors::kafka::replay::to_end;
use tidewheel_connectors::kafka::source::{Isolation, KafkaSource, KafkaSourceConfig, Start};
use tidewheel_connectors::source::Work;
use tidewheel_schemas::RejectReason;

fn connect(config: &KafkaSourceConfig) -> KafkaSource {
    KafkaSource::connect(config).expect("the source connects")
}

fn failure<T>(result: Result<T, KafkaError>) -> String {
    result.err().expect("an error").to_string()
}

#[test]
fn all_partitions_of_all_topics_are_read_and_their_ends_told_apart() {
    let (left, right) = (broker().topic("a", 2), broker().topic("b", 2));
    broker().write(&left, &[(0, Some("k"), Some("l0")), (1, None, Some("l1")), (0, None, Some("")), (1, None, None)]);
    broker().write(&right, &[(1, None, Some("r0")), (1, Some("k"), Some("r1"))]);
    let mut source = connect(&KafkaSourceConfig::new(broker().address(), &[&right, &left]));
    let names = [(&left, 0), (&left, 1), (&right, 0), (&right, 1)];
    let names = names.map(|(topic, partition)| format!("{topic}[{partition}]"));
    assert_eq!(source.partition_names(), names);
    let (blocks, ignored) = drain(&mut source);
    assert_eq!(lines(&blocks), ["0@0 l0", "0@1 ", "1@0 l1", "3@0 r0", "3@1 r1"]);
    assert_eq!(ignored, 1);
    assert_eq!([0, 1, 2, 3].map(|partition| source.position(partition)), [2, 2, 0, 2]);
    assert_eq!([0, 1, 2, 3].map(|partition| source.end_offset(partition)), [2, 2, 0, 2]);
    assert!(blocks.iter().flat_map(|block| &block.messages).all(|message| message.receive_time_ns > Some(0)));

    broker().write(&left, &[(0, None, Some("more"))]);
    let deadline = Instant::now() + PATIENCE;
    let mut more = Vec::new();
    while more.is_empty() && Instant::now() < deadline {
        more = source.poll_until(Instant::now() + Duration::from_millis(50), usize::MAX).expect("readable").blocks;
    }
    assert_eq!(lines(&more), ["0@2 more"]);
    source.refresh_end_offsets(PATIENCE).expect("the broker answers");
    assert_eq!(source.end_offset(0), 3);
}

#[test]
fn a_budget_of_bytes_splits_a_partition_without_loss() {
    let topic = broker().topic("budget", 3);
    let values: Vec<String> = (0..3_000).map(|number| format!("{number:0100}")).collect();
    let records: Vec<_> = values.iter().zip((0..3).cycle()).map(|(value, p)| (p, None, Some(value.as_str()))).collect();
    broker().write(&topic, &records);
    let mut source = connect(&KafkaSourceConfig::new(broker().address(), &[&topic]));
    let (mut seen, deadline) = (vec![Vec::new(); 3], Instant::now() + PATIENCE);
    while !(0..3).all(|partition| source.caught_up(partition)) && Instant::now() < deadline {
        let polled = source.poll_until(Instant::now() + Duration::from_millis(50), 5_000).expect("readable");
        assert!(polled.blocks.iter().map(|block| block.bytes.len()).sum::<usize>() <= 5_100);
        for block in polled.blocks {
            seen[block.partition as usize].extend(lines(&[block]));
        }
    }
    for (partition, seen) in seen.iter().enumerate() {
        let values = values.iter().skip(partition).step_by(3).enumerate();
        assert_eq!(seen, &values.map(|(at, value)| format!("{partition}@{at} {value}")).collect::<Vec<_>>());
    }
}

#[test]
fn an_oversized_message_is_a_reject_with_its_offset() {
    let topic = broker().topic("oversized", 1);
    let large = "x".repeat(200_000);
    broker().write(&topic, &[(0, None, Some("a")), (0, None, Some(&large)), (0, None, Some("b"))]);
    let config =
        KafkaSourceConfig { max_message_bytes: 1_000, ..KafkaSourceConfig::new(broker().address(), &[&topic]) };
    let (blocks, _) = drain(&mut connect(&config));
    assert_eq!(lines(&blocks), ["0@0 a", "0@2 b"]);
    let rejects: Vec<_> = blocks.iter().flat_map(|block| &block.rejects).collect();
    assert_eq!(rejects.len(), 1);
    assert_eq!((rejects[0].position, rejects[0].reason), (1, RejectReason::Oversized));
    assert_eq!(rejects[0].detail, "message of 200000 bytes, more than 1000");
    assert_eq!(rejects[0].raw.len(), 64 << 10);
}

#[test]
fn reading_begins_where_it_is_told_to() {
    let topic = broker().topic("start", 2);
    broker().write(&topic, &[(0, None, Some("a")), (0, None, Some("b")), (0, None, Some("c")), (1, None, Some("d"))]);
    let at = |start| KafkaSourceConfig { start, ..KafkaSourceConfig::new(broker().address(), &[&topic]) };
    let offsets = |offset| Start::Offsets(BTreeMap::from([(format!("{topic}[0]"), offset)]));
    let read = |start| lines(&drain(&mut connect(&at(start))).0);
    assert_eq!(read(Start::Earliest), ["0@0 a", "0@1 b", "0@2 c", "1@0 d"]);
    assert_eq!(read(Start::Latest), [""; 0]);
    assert_eq!(read(offsets(2)), ["0@2 c", "1@0 d"]);
    assert_eq!(read(offsets(3)), ["1@0 d"]);

    let gone = |offset| failure(KafkaSource::connect(&at(offsets(offset))));
    let message = gone(4);
    assert!(
        message.starts_with(&format!(
            "could not read {topic}[0] from offset 4: the broker has 0 up to 3; the topic was created anew, "
        )),
        "{message}"
    );
    broker().delete_records(&topic, 0, 2);
    let message = gone(1);
    assert!(
        message.starts_with(&format!(
            "could not read {topic}[0] from offset 1: the broker has 2 up to 3; retention removed records "
        )),
        "{message}"
    );
    assert_eq!(read(Start::Earliest), ["0@2 c", "1@0 d"]);
}

#[test]
fn partitions_keep_the_numbers_of_a_former_run() {
    let (left, right) = (broker().topic("known-a", 2), broker().topic("known-b", 1));
    broker().write(&left, &[(0, None, Some("l0")), (1, None, Some("l1"))]);
    broker().write(&right, &[(0, None, Some("r0"))]);
    let address = broker().address();
    let known = vec![format!("{right}[0]"), format!("{left}[1]")];
    let both = KafkaSourceConfig { known: known.clone(), ..KafkaSourceConfig::new(address, &[&left, &right]) };
    let mut source = connect(&both);
    assert_eq!(source.partition_names(), [known[0].clone(), known[1].clone(), format!("{left}[0]")]);
    assert_eq!(lines(&drain(&mut source).0), ["0@0 r0", "1@0 l1", "2@0 l0"]);

    // Without the first topic its number stays, and its position.
    let start = Start::Offsets(BTreeMap::from([(known[0].clone(), 1), (known[1].clone(), 1)]));
    let known = source.partition_names();
    let one = KafkaSourceConfig { known: known.clone(), start, ..KafkaSourceConfig::new(address, &[&left]) };
    let mut source = connect(&one);
    assert_eq!(source.partition_names(), known);
    assert_eq!(lines(&drain(&mut source).0), ["2@0 l0"]);
    assert_eq!([0, 1, 2].map(|partition| (source.position(partition), source.caught_up(partition))), [(1, true); 3]);
    source.refresh_end_offsets(PATIENCE).expect("the broker answers");
    let message = failure(source.poll_to(&BTreeMap::from([(0, 2)]), Instant::now() + PATIENCE));
    assert!(message.starts_with(&format!("could not read {right}[0] up to offset 2: its topic is not ")), "{message}");

    let known = vec![format!("{left}[2]")];
    let message = failure(KafkaSource::connect(&KafkaSourceConfig { known, ..one }));
    assert!(
        message.starts_with(&format!("could not find partition 2 of topic {left:?}, which was read ")),
        "{message}"
    );
}

#[test]
fn a_transactional_topic_is_read_to_its_end_by_position() {
    let topic = broker().topic("transactional", 2);
    let producer = broker().transactional_producer(&topic);
    let transaction = |values: &[(i32, Option<&str>, Option<&str>)], commit: bool| {
        producer.begin_transaction().expect("transactions work");
        queue(&producer, &topic, values);
        producer.flush(PATIENCE).expect("the broker takes the records");
        let ended = if commit { producer.commit_transaction(PATIENCE) } else { producer.abort_transaction(PATIENCE) };
        ended.expect("transactions work");
    };
    transaction(&[(0, None, Some("a")), (1, None, Some("b"))], true);
    transaction(&[(0, None, Some("never"))], false);
    transaction(&[(0, None, Some("c")), (0, None, None)], true);
    transaction(&[(0, None, Some("never")), (1, None, Some("never"))], false);
    let address = broker().address();
    assert_eq!(held(address, &topic, Isolation::ReadCommitted), ["0@0 a", "0@4 c", "1@0 b"]);
    let uncommitted = ["0@0 a", "0@2 never", "0@4 c", "0@7 never", "1@0 b", "1@2 never"];
    assert_eq!(held(address, &topic, Isolation::ReadUncommitted), uncommitted);
    assert_eq!(lines(&drain(&mut connect(&KafkaSourceConfig::new(address, &[&topic]))).0), ["0@0 a", "0@4 c", "1@0 b"]);

    // An open transaction holds back what can be read, and a reader to the end does not wait for it.
    producer.begin_transaction().expect("transactions work");
    queue(&producer, &topic, &[(0, None, Some("open"))]);
    producer.flush(PATIENCE).expect("the broker takes the records");
    broker().write(&topic, &[(0, None, Some("behind"))]);
    assert_eq!(held(address, &topic, Isolation::ReadCommitted), ["0@0 a", "0@4 c", "1@0 b"]);
    producer.commit_transaction(PATIENCE).expect("transactions work");
    assert_eq!(held(address, &topic, Isolation::ReadCommitted), ["0@0 a", "0@4 c", "0@9 open", "0@10 behind", "1@0 b"]);
}

#[test]
fn a_replay_leaves_out_what_is_written_after_it_began() {
    let topic = broker().topic("replay", 1);
    broker().write(&topic, &[(0, None, Some("a")), (0, None, None), (0, None, Some("b"))]);
    let mut readers = to_end(&KafkaSourceConfig::new(broker().address(), &[&topic])).expect("the topic can be read");
    broker().write(&topic, &[(0, None, Some("late"))]);
    let (mut read, mut ignored) = (Vec::new(), BTreeMap::new());
    while let Some(work) = readers[0].read().expect("the topic can be read") {
        match work {
            Work::Messages(block) => read.extend(lines(&[block])),
            Work::Rows(decode) => ignored.extend(decode().ignored),
        }
    }
    assert_eq!(read, ["0@0 a", "0@2 b"]);
    assert_eq!(ignored, BTreeMap::from([("kafka:tombstone".to_owned(), 1)]));
    assert_eq!((readers[0].progress().done, readers[0].progress().total), (3, 3));
}

#[test]
fn errors_name_what_is_wrong_and_what_to_do() {
    let topic = broker().topic("errors", 1);
    let address = broker().address();
    let message = failure(KafkaSource::connect(&KafkaSourceConfig::new(address, &[&format!("{topic}x")])));
    assert_eq!(message, format!("could not find topic \"{topic}x\" at {address}; did you mean {topic:?}?"));
    let message = failure(KafkaSource::connect(&KafkaSourceConfig::new(address, &["entirely different"])));
    assert!(message.contains("there are: "), "{message}");
    let message = failure(KafkaSource::connect(&KafkaSourceConfig::new(address, &[])));
    assert_eq!(message, "no kafka topic to read was given; name at least one");

    // Port 1 is reserved and nobody listens there.
    let nobody = KafkaSourceConfig {
        connect_timeout: Duration::from_millis(1_500),
        ..KafkaSourceConfig::new("127.0.0.1:1", &[&topic])
    };
    let message = failure(KafkaSource::connect(&nobody));
    assert!(message.starts_with("could not reach kafka at 127.0.0.1:1 within 1500 ms: "), "{message}");
    assert!(message.contains("refused"), "{message}");

    let property = |key: &str, value: &str| {
        let properties = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        failure(KafkaSource::connect(&KafkaSourceConfig { properties, ..KafkaSourceConfig::new(address, &[&topic]) }))
    };
    assert_eq!(
        property("enable.auto.commit", "true"),
        "could not use kafka property \"enable.auto.commit\": it is set by tidewheel itself, remove it"
    );
    assert!(property("no.such.property", "1").starts_with("could not use kafka property \"no.such.property\": "));
}

#[test]
fn other_consumer_groups_are_left_alone() {
    let topic = broker().topic("groups", 1);
    broker().write(&topic, &[(0, None, Some("a")), (0, None, Some("b"))]);
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, Offset::Offset(1)).expect("the offset is valid");
    let other: BaseConsumer = broker().client().set("group.id", &topic).create().expect("a valid configuration");
    other.commit(&offsets, CommitMode::Sync).expect("the broker takes the offset");
    let mut source = connect(&KafkaSourceConfig::new(broker().address(), &[&topic]));
    assert_eq!(lines(&drain(&mut source).0), ["0@0 a", "0@1 b"]);
    drop(source);
    let committed = other.committed_offsets(offsets, PATIENCE).expect("the broker answers");
    assert_eq!(committed.find_partition(&topic, 0).map(|found| found.offset()), Some(Offset::Offset(1)));
    let groups = other.fetch_group_list(None, PATIENCE).expect("the broker answers");
    assert!(groups.groups().iter().all(|group| group.name() != "tidewheel"), "no group of ours appears");
}

#[test]
fn a_listing_tells_partitions_and_offsets() {
    let topic = broker().topic("listing", 2);
    broker().write(&topic, &[(1, None, Some("a")), (1, None, Some("b"))]);
    broker().delete_records(&topic, 1, 1);
    let listed = list_topics(broker().address(), &BTreeMap::new(), PATIENCE).expect("the broker answers");
    let found = listed.iter().find(|listed| listed.topic == topic).expect("the topic is listed");
    let offsets: Vec<_> = found.partitions.iter().map(|partition| partition.offsets.clone()).collect();
    assert_eq!(offsets, [Ok((0, 0)), Ok((1, 2))]);
    assert!(found.partitions.iter().all(|partition| partition.leader == Some(1)));
    assert_eq!(found.messages(), 1);
}

#[test]
fn an_end_behind_records_that_were_rolled_back_is_reached_though_no_mark_follows_them() {
    let topic = broker().topic("tail", 1);
    broker().write(&topic, &[(0, None, Some("a"))]);
    let begin = |name: &str| {
        let producer = broker().transactional_producer(&format!("{topic}-{name}"));
        producer.begin_transaction().expect("a transaction begins");
        queue(&producer, &topic, &[(0, None, Some(name))]);
        producer.flush(PATIENCE).expect("the broker takes the record");
        producer
    };
    let rolled_back = begin("b");
    // What ends the first lies behind this one, and readers of committed records do not come so far.
    let open = begin("c");
    rolled_back.abort_transaction(PATIENCE).expect("the rollback succeeds");
    let begun = Instant::now();
    assert_eq!(held(broker().address(), &topic, Isolation::ReadCommitted), ["0@0 a"]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    open.commit_transaction(PATIENCE).expect("the commit succeeds");
    assert_eq!(held(broker().address(), &topic, Isolation::ReadCommitted), ["0@0 a", "0@2 c"]);
}
