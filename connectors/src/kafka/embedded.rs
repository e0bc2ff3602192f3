//! A Kafka cluster inside this process, for demonstrations and for tests of faults: librdkafka's mock cluster.
//!
//! It speaks the protocol over a loopback port, so that every client works with it. It is no broker: it keeps at most 5 MB
//! or 100,000 messages a partition (a slow reader loses the oldest), shows records of open and aborted transactions, knows
//! no topic configuration and cannot create topics on request. Exactly-once is proved elsewhere, on a real broker.

use super::KafkaError;
use crossbeam_channel::{Receiver, Sender, bounded};
use rdkafka::mocking::MockCluster;
use std::thread::JoinHandle;

/// A mock cluster of one broker. It ends when dropped, and its records with it.
pub struct EmbeddedBroker {
    bootstrap: String,
    requests: Option<Sender<CreateTopic>>,
    thread: Option<JoinHandle<()>>,
}

struct CreateTopic {
    name: String,
    partitions: i32,
    answer: Sender<Result<(), KafkaError>>,
}

impl EmbeddedBroker {
    /// Starts a broker with these topics, each of `partitions` partitions.
    ///
    /// # Errors
    /// If the cluster cannot be started or a topic not be created.
    pub fn start(topics: &[&str], partitions: i32) -> Result<Self, KafkaError> {
        let (started, start) = bounded(1);
        let (requests, requested) = bounded(1);
        // The cluster's handle may not leave the thread that made it.
        let thread = std::thread::Builder::new()
            .name("embedded kafka".to_owned())
            .spawn(move || run(&started, &requested))
            .map_err(|error| failed(&error))?;
        let bootstrap = start.recv().map_err(|error| failed(&error))??;
        let broker = Self { bootstrap, requests: Some(requests), thread: Some(thread) };
        topics.iter().try_for_each(|topic| broker.create_topic(topic, partitions))?;
        Ok(broker)
    }

    /// Its address, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// If there is one of this name already, or the name is not usable.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), KafkaError> {
        let (answer, answered) = bounded(1);
        let request = CreateTopic { name: name.to_owned(), partitions, answer };
        let requests = self.requests.as_ref().ok_or_else(|| failed(&"it has ended"))?;
        requests.send(request).map_err(|error| failed(&error))?;
        answered.recv().map_err(|error| failed(&error))?
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        // Without senders the thread's loop ends, and the cluster with it.
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(started: &Sender<Result<String, KafkaError>>, requested: &Receiver<CreateTopic>) {
    let cluster = match MockCluster::new(1) {
        Ok(cluster) => cluster,
        Err(error) => {
            let _ = started.send(Err(failed(&error)));
            return;
        }
    };
    let _ = started.send(Ok(cluster.bootstrap_servers()));
    for CreateTopic { name, partitions, answer } in requested {
        let created = cluster.create_topic(&name, partitions, 1);
        let _ = answer.send(created.map_err(|error| failed(&format!("topic {name:?}: {error}"))));
    }
}

fn failed(error: &dyn std::fmt::Display) -> KafkaError {
    KafkaError::Client { brokers: "the embedded cluster".to_owned(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::check::list_topics;
    use crate::kafka::replay::to_end;
    use crate::kafka::sink::{KafkaSink, KafkaSinkConfig};
    use crate::kafka::source::{KafkaSource, KafkaSourceConfig};
    use crate::source::Work;
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};
    use tidewheel_schemas::{Counters, Interval, Reject, RejectReason, TickOutput};

    const PATIENCE: Duration = Duration::from_secs(60);
    const TOPICS: [&str; 4] = ["demo.bars.1m", "demo.rejects", "demo.late", "demo.progress"];

    fn sink(brokers: &str) -> KafkaSink {
        let config = KafkaSinkConfig { intervals: vec![Interval::M1], ..KafkaSinkConfig::new(brokers, "demo") };
        KafkaSink::open(&config, vec!["trades[0]".to_owned()]).expect("the sink opens")
    }

    fn output(tick: u64, rejects: u64) -> TickOutput {
        let reject = |position| Reject {
            partition: 0,
            position,
            reason: RejectReason::Malformed,
            records: 1,
            detail: "not JSON".to_owned(),
            raw: b"{".as_slice().into(),
            receive_time_ns: None,
        };
        TickOutput { tick, rejects: (0..rejects).map(reject).collect(), ..TickOutput::default() }
    }

    /// Messages of a topic that come until nothing follows.
    fn read(source: &mut KafkaSource) -> usize {
        let (mut read, deadline) = (0, Instant::now() + PATIENCE);
        while !source.caught_up(0) && Instant::now() < deadline {
            let polled = source.poll_until(Instant::now() + Duration::from_millis(50), usize::MAX).expect("readable");
            read += polled.blocks.iter().map(|block| block.messages.len()).sum::<usize>();
        }
        read
    }

    #[test]
    fn what_a_sink_commits_a_source_reads() {
        let broker = EmbeddedBroker::start(&TOPICS, 1).expect("the cluster starts");
        let brokers = broker.bootstrap();
        let mut sink_of_one_run = sink(brokers);
        sink_of_one_run.write(&output(100, 3)).expect("the broker takes the records");
        sink_of_one_run.commit(100, &Counters::default()).expect("the commit succeeds");
        drop(sink_of_one_run);
        assert_eq!(sink(brokers).committed_tick(), Some(100));

        let config = KafkaSourceConfig::new(brokers, &["demo.rejects"]);
        assert_eq!(read(&mut KafkaSource::connect(&config).expect("the source connects")), 3);
        let mut replayed = 0;
        for mut reader in to_end(&config).expect("the topic can be read") {
            while let Some(work) = reader.read().expect("the topic can be read") {
                let Work::Messages(block) = work else { continue };
                replayed += block.messages.len();
            }
        }
        assert_eq!(replayed, 3);
        let listed = list_topics(brokers, &BTreeMap::new(), PATIENCE).expect("the broker answers");
        assert_eq!(listed.iter().map(|listed| listed.topic.as_str()).collect::<Vec<_>>(), {
            let mut topics = TOPICS;
            topics.sort_unstable();
            topics
        });
    }

    #[test]
    fn a_topic_that_is_there_already_is_told() {
        let broker = EmbeddedBroker::start(&["trades"], 2).expect("the cluster starts");
        let message = broker.create_topic("trades", 2).expect_err("it is there").to_string();
        assert!(message.contains(r#"topic "trades""#), "{message}");
    }

    #[test]
    fn a_broker_that_goes_down_and_comes_back_loses_nothing() {
        let cluster = MockCluster::new(1).expect("the cluster starts");
        TOPICS.iter().for_each(|topic| cluster.create_topic(topic, 1, 1).expect("the topic is new"));
        let brokers = cluster.bootstrap_servers();
        let mut sink = sink(&brokers);
        let mut source = KafkaSource::connect(&KafkaSourceConfig::new(&brokers, &["demo.rejects"])).expect("connects");
        sink.write(&output(100, 2)).expect("the broker takes the records");
        sink.commit(100, &Counters::default()).expect("the commit succeeds");
        assert_eq!(read(&mut source), 2);

        cluster.broker_down(1).expect("there is a broker");
        sink.write(&output(200, 5)).expect("the records wait in the producer");
        let polled = source.poll_until(Instant::now() + Duration::from_millis(300), usize::MAX).expect("it waits");
        assert_eq!(polled.blocks.len(), 0);
        cluster.broker_up(1).expect("there is a broker");
        sink.commit(200, &Counters::default()).expect("the commit succeeds");
        let (mut more, deadline) = (0, Instant::now() + PATIENCE);
        while more < 5 && Instant::now() < deadline {
            let polled = source.poll_until(Instant::now() + Duration::from_millis(50), usize::MAX).expect("readable");
            more += polled.blocks.iter().map(|block| block.messages.len()).sum::<usize>();
        }
        assert_eq!(more, 5);
    }

    #[test]
    fn a_refused_record_rolls_its_transaction_back_and_can_be_written_again() {
        use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
        let cluster = MockCluster::new(1).expect("the cluster starts");
        TOPICS.iter().for_each(|topic| cluster.create_topic(topic, 1, 1).expect("the topic is new"));
        let brokers = cluster.bootstrap_servers();
        let mut sink = sink(&brokers);
        let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE];
        cluster.request_errors(RDKafkaApiKey::Produce, &refused);
        let mut attempt = || {
            sink.write(&output(100, 2))
                .and_then(|()| sink.commit(100, &Counters::default()))
                .map(|_| sink.committed_tick())
        };
        let error = attempt().expect_err("the record was refused");
        assert!(matches!(error, KafkaError::Aborted { .. }), "{error}");
        assert!(error.is_transient());
        assert!(error.to_string().contains("Message size too large"), "{error}");

        // librdkafka notices the gap that the refused record left in its numbering at the next transaction, and rolls that
        // back too.
        let committed = (0..3).find_map(|_| attempt().ok()).expect("the broker takes the records");
        assert_eq!(committed, Some(100));
    }
}
