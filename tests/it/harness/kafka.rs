//! A real Kafka broker: one process, broker and controller in one, on free loopback ports, in a fresh folder.

use super::distribution::{java, run};
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running broker. It is killed when dropped, and its records are gone.
pub struct Broker {
    process: Child,
    address: String,
    folder: tempfile::TempDir,
}

/// The broker that all tests of the binary share; topics are told apart by [`unique`] names.
pub fn broker() -> &'static Broker {
    static SHARED: OnceLock<Broker> = OnceLock::new();
    SHARED.get_or_init(Broker::start)
}

/// A name that no other test of this run has.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Broker {
    /// Starts a broker of one's own and waits until it answers.
    ///
    /// # Panics
    /// If it does not start: with its log.
    pub fn start() -> Self {
        Self::start_with(|_| Addition::default())
    }

    /// As [`start`](Self::start), with more: of the broker's folder, which exists when the addition is made.
    ///
    /// # Panics
    /// If it does not start: with its log.
    pub fn start_with(addition: impl FnOnce(&Path) -> Addition) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let addition = addition(folder.path());
        let [broker_port, controller_port] = free_ports();
        let address = format!("127.0.0.1:{broker_port}");
        let properties = folder.path().join("server.properties");
        let data = folder.path().join("data").display().to_string();
        let text = properties_text(broker_port, controller_port, &data, &addition);
        std::fs::write(&properties, text).expect("a temporary folder can be written to");

        let mut format = java("kafka.tools.StorageTool");
        // A cluster id is sixteen bytes in base64; any will do.
        format.args(["format", "-t", "dGlkZXdoZWVsdGVzdHMhIQ", "-c"]).arg(&properties).args(&addition.format);
        run(format, "format the storage of the Kafka broker");

        let log = File::create(folder.path().join("log")).expect("a temporary folder can be written to");
        let mut command = java("kafka.Kafka");
        command.arg(&properties);
        let mut guarded = guarded(&command, folder.path());
        guarded.stdout(log.try_clone().expect("a file handle can be copied")).stderr(log);
        let process = guarded.spawn().expect("every system that runs these tests has a shell");
        let broker = Self { process, address, folder };
        broker.wait_until_it_answers();
        broker
    }

    /// Its address, for `bootstrap.servers`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its folder; what it stores is in `data`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it as a failing machine would, and waits until nobody listens. Its records stay for [`resume`](Self::resume).
    ///
    /// # Panics
    /// If its guard is gone.
    pub fn kill(&mut self) {
        self.order("kill");
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&self.address).is_ok() {
            assert!(Instant::now() < deadline, "the Kafka broker at {} does not die", self.address);
        }
    }

    /// Starts it again at the same address, with the records it had, and waits until it answers.
    ///
    /// # Panics
    /// If it does not start: with its log.
    pub fn resume(&mut self) {
        self.order("resume");
        self.wait_until_it_answers();
    }

    fn order(&mut self, order: &str) {
        let guard = self.process.stdin.as_mut().expect("taken only when dropped");
        writeln!(guard, "{order}").expect("the guard reads as long as this process lives");
    }

    fn wait_until_it_answers(&self) {
        let deadline = Instant::now() + PATIENCE;
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &self.address).create().expect("the configuration is valid");
        while client.fetch_metadata(None, Duration::from_millis(500)).is_err() {
            assert!(
                Instant::now() < deadline,
                "the Kafka broker at {} does not answer; its log:\n{}",
                self.address,
                std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
            );
        }
    }
}

/// What a broker has beyond a plain listener.
#[derive(Default)]
pub struct Addition {
    /// A further listener: its name, its protocol, its address.
    pub listener: Option<(String, String, String)>,
    /// Lines of its properties.
    pub properties: Vec<String>,
    /// Arguments of the tool that formats its storage.
    pub format: Vec<String>,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // The end of its input is the guard's sign.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Ports nobody listens on. All are held until all are known, so that they differ.
pub fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let held = [(); COUNT].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback has free ports"));
    held.map(|held| held.local_addr().expect("a bound socket has an address").port())
}

fn properties_text(broker_port: u16, controller_port: u16, data: &str, addition: &Addition) -> String {
    let mut listeners = format!("PLAINTEXT://127.0.0.1:{broker_port}");
    let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
    if let Some((name, protocol, address)) = &addition.listener {
        listeners += &format!(",{name}://{address}");
        protocols += &format!(",{name}:{protocol}");
    }
    let mut lines = vec![
        "process.roles=broker,controller".to_owned(),
        "node.id=1".to_owned(),
        format!("controller.quorum.voters=1@127.0.0.1:{controller_port}"),
        format!("listeners={listeners},CONTROLLER://127.0.0.1:{controller_port}"),
        format!("advertised.listeners={listeners}"),
        "inter.broker.listener.name=PLAINTEXT".to_owned(),
        "controller.listener.names=CONTROLLER".to_owned(),
        format!("listener.security.protocol.map={protocols}"),
        format!("log.dirs={data}"),
        "auto.create.topics.enable=false".to_owned(),
        // One broker cannot hold three copies.
        "offsets.topic.replication.factor=1".to_owned(),
        "transaction.state.log.replication.factor=1".to_owned(),
        "transaction.state.log.min.isr=1".to_owned(),
        // What the defaults would spend on fifty internal partitions and a cleaner.
        "offsets.topic.num.partitions=2".to_owned(),
        "transaction.state.log.num.partitions=2".to_owned(),
        "group.initial.rebalance.delay.ms=0".to_owned(),
        "num.network.threads=2".to_owned(),
        "num.io.threads=2".to_owned(),
        // How soon it notices a transaction that is open for too long.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000".to_owned(),
        "log.cleaner.dedupe.buffer.size=8388608".to_owned(),
    ];
    lines.extend_from_slice(&addition.properties);
    lines.join("\n")
}

/// The command under a shell that kills it, and removes its folder, when this process is gone, however it went: the shared
/// broker lives in a static and is never dropped. Until then it kills and resumes on demand.
fn guarded(command: &Command, folder: &Path) -> Command {
    const GUARD: &str = r#"
        folder=$1; shift
        "$@" & broker=$!
        while read -r order; do
            case $order in
                kill) kill -9 $broker; wait $broker ;;
                resume) "$@" & broker=$! ;;
            esac
        done
        kill -9 $broker; wait; rm -rf "$folder""#;
    let mut guarded = Command::new("sh");
    guarded.args(["-c", GUARD, "guard"]).arg(folder).arg(command.get_program()).args(command.get_args());
    guarded.stdin(Stdio::piped());
    guarded
}

impl Broker {
    /// Creates a topic of a name that no other test has.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn topic(&self, name: &str, partitions: i32) -> String {
        let topic = unique(name);
        self.create_topic(&topic, partitions);
        topic
    }

    /// Creates a topic of this name; one that is just being deleted is waited for.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn create_topic(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<_> = self.client().create().expect("the configuration is valid");
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let created = wait(admin.create_topics([&new], &AdminOptions::new())).expect("the broker answers");
            match &created[..] {
                [Err((_, RDKafkaErrorCode::TopicAlreadyExists))] if Instant::now() < deadline => {}
                created => {
                    assert_eq!(created, [Ok(topic.to_owned())]);
                    break;
                }
            }
        }
        // The controller has said so; a busy broker learns of it a moment later.
        let is_known = || {
            let metadata = admin.inner().fetch_metadata(Some(topic), PATIENCE).expect("the broker answers");
            metadata.topics().iter().any(|found| found.error().is_none() && !found.partitions().is_empty())
        };
        while !is_known() {
            assert!(Instant::now() < deadline, "topic {topic:?} does not show");
        }
    }

    /// Deletes a topic.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn delete_topic(&self, topic: &str) {
        let admin: AdminClient<_> = self.client().create().expect("the configuration is valid");
        let deleted = wait(admin.delete_topics(&[topic], &AdminOptions::new())).expect("the broker answers");
        assert_eq!(deleted, [Ok(topic.to_owned())]);
    }

    /// Gives a topic more partitions, so many in all.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn add_partitions(&self, topic: &str, partitions: usize) {
        let admin: AdminClient<_> = self.client().create().expect("the configuration is valid");
        let new = NewPartitions::new(topic, partitions);
        let added = wait(admin.create_partitions([&new], &AdminOptions::new())).expect("the broker answers");
        assert_eq!(added, [Ok(topic.to_owned())]);
    }

    /// Removes the records of a partition below an offset, as retention does.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let admin: AdminClient<_> = self.client().create().expect("the configuration is valid");
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(before)).expect("the offset is valid");
        wait(admin.delete_records(&offsets, &AdminOptions::new())).expect("the broker removes records");
    }

    /// Sets the configuration of a topic; what is not named goes back to its default.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn configure(&self, topic: &str, settings: &[(&str, &str)]) {
        let admin: AdminClient<_> = self.client().create().expect("the configuration is valid");
        let alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let alter = settings.iter().fold(alter, |alter, (name, value)| alter.set(name, value));
        let altered = wait(admin.alter_configs([&alter], &AdminOptions::new())).expect("the broker answers");
        assert!(altered.iter().all(Result::is_ok), "{altered:?}");
    }

    /// Writes records of (partition, key, value), in their order.
    ///
    /// # Panics
    /// If the broker refuses one.
    pub fn write(&self, topic: &str, records: &[(i32, Option<&str>, Option<&str>)]) {
        let producer: BaseProducer = self.client().create().expect("the configuration is valid");
        queue(&producer, topic, records);
        producer.flush(PATIENCE).expect("the broker takes the records");
    }

    /// A producer of transactions, initialised.
    ///
    /// # Panics
    /// If the broker refuses.
    pub fn transactional_producer(&self, transactional_id: &str) -> BaseProducer {
        let producer: BaseProducer =
            self.client().set("transactional.id", transactional_id).create().expect("the configuration is valid");
        producer.init_transactions(PATIENCE).expect("the broker knows transactions");
        producer
    }

    /// The beginning of any client's configuration.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }
}

/// Hands records of (partition, key, value) to a producer.
///
/// # Panics
/// If its queue is full.
pub fn queue(producer: &BaseProducer, topic: &str, records: &[(i32, Option<&str>, Option<&str>)]) {
    for (partition, key, value) in records {
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(topic).partition(*partition);
        (record.key, record.payload) = (*key, *value);
        producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
    }
}

fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made").block_on(future)
}
