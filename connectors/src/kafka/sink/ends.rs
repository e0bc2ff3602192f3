//! Where the records of a sink ended in each partition, as its progress record says it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The records of the last transaction that wrote into a partition, and of those before it that were not ended there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Span {
    /// The offset of the first, if they lie side by side. That of the end, if records of another sink lie between them.
    pub first: u64,
    /// The offset after the last.
    pub end: u64,
}

impl From<(u64, u64)> for Span {
    fn from((first, end): (u64, u64)) -> Self {
        Self { first, end }
    }
}

impl From<Span> for (u64, u64) {
    fn from(span: Span) -> Self {
        (span.first, span.end)
    }
}

/// By topic and partition. In JSON `{"trades.bars.1m":{"0":[9,12]}}`: three records, the last at offset 11.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ends(BTreeMap<String, BTreeMap<i32, Span>>);

impl Ends {
    /// Of one partition; none where the sink has not written into it since it was opened.
    pub fn of(&self, topic: &str, partition: i32) -> Option<Span> {
        self.0.get(topic)?.get(&partition).copied()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, Span)> {
        self.0
            .iter()
            .flat_map(|(topic, of)| of.iter().map(move |(partition, span)| (topic.as_str(), *partition, *span)))
    }

    pub(super) fn set(&mut self, topic: &str, partition: i32, span: Span) {
        self.0.entry(topic.to_owned()).or_default().insert(partition, span);
    }

    /// What these say of partitions that the later ones do not speak of, and what the later ones say. Where these end a later
    /// span begins, nothing lies between that ended the transaction: it will be ended with the later one.
    pub(super) fn followed_by(&self, later: &Self) -> Self {
        let mut all = self.clone();
        for (topic, partition, span) in later.iter() {
            let first = match self.of(topic, partition) {
                Some(before) if before.end == span.first && span.first < span.end => before.first,
                _ => span.first,
            };
            all.set(topic, partition, Span { first, ..span });
        }
        all
    }
}

/// Records of a transaction that the broker has taken.
#[derive(Debug, Default)]
pub(in crate::kafka) struct Delivered(BTreeMap<String, BTreeMap<i32, (Span, u64)>>);

impl Delivered {
    /// Counts one more in; reports may come in any order.
    pub(in crate::kafka) fn add(&mut self, topic: &str, partition: i32, offset: u64) {
        let of_topic = match self.0.get_mut(topic) {
            Some(of_topic) => of_topic,
            None => self.0.entry(topic.to_owned()).or_default(),
        };
        let (span, count) = of_topic.entry(partition).or_insert((Span { first: offset, end: offset + 1 }, 0));
        *span = Span { first: span.first.min(offset), end: span.end.max(offset + 1) };
        *count += 1;
    }

    /// Where they ended.
    pub(in crate::kafka) fn ends(&self) -> Ends {
        let mut ends = Ends::default();
        for (topic, of_topic) in &self.0 {
            for (partition, (span, count)) in of_topic {
                let first = if span.end - span.first == *count { span.first } else { span.end };
                ends.set(topic, *partition, Span { first, end: span.end });
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_takes_the_place_of_what_was_and_json_gives_both_back() {
        let (mut first, mut second) = (Delivered::default(), Delivered::default());
        for offset in [5, 4, 6] {
            first.add("a", 0, offset);
        }
        first.add("b", 1, 0);
        second.add("a", 0, 9);
        second.add("a", 0, 11);
        let first = first.ends();
        let text = |ends: &Ends| serde_json::to_string(ends).expect("it encodes");
        assert_eq!(text(&first), r#"{"a":{"0":[4,7]},"b":{"1":[0,1]}}"#);
        let all = first.followed_by(&second.ends());
        assert_eq!(text(&all), r#"{"a":{"0":[12,12]},"b":{"1":[0,1]}}"#, "another's record lies between them");
        assert_eq!(serde_json::from_str::<Ends>(&text(&all)).expect("it decodes"), all);
        assert_eq!((all.of("b", 1), all.of("a", 1)), (Some(Span { first: 0, end: 1 }), None));
        let mut third = Delivered::default();
        third.add("a", 0, 7);
        assert_eq!(text(&first.followed_by(&third.ends())), r#"{"a":{"0":[4,8]},"b":{"1":[0,1]}}"#, "no end between");
    }
}
