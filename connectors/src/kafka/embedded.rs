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
        let requests = self.requests.as_ref().expect("taken only when dropped");
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
