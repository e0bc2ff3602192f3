//! Records of the control topic: what is understood, and what is refused as none. Which promotions can be used is tested with
//! a registry, in the tests of the whole.

use super::*;
use serde_json::json;
use tidewheel_connectors::source::MessageBlock;

/// A record that is understood, changed.
fn record(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut record = json!({
        "type": "promotion", "who": "anna", "why": "better", "number": 3, "alias": "challenger", "symbol": "BTC-USD",
        "target": "up", "members": [{ "model": "any-up-gbt", "version": 2, "sha256": "ab" }],
        "ensemble": { "name": "blend", "version": 1, "output": "probability", "method": { "kind": "median" },
            "members": [{ "model": "any-up-gbt", "version": 2 }] },
    });
    change(&mut record);
    record.to_string()
}

#[track_caller]
fn check(raw: &[u8], expected: &str) {
    let told = match CommandRecord::parse(raw, 7, None) {
        Ok(record) => format!("{} {}", record.wanted.number(), record.wanted.subject()),
        Err((reason, detail)) => format!("{reason}: {detail}"),
    };
    assert!(told.starts_with(expected), "{told:?} does not begin with {expected:?}");
}

#[test]
fn what_is_no_promotion_is_told() {
    check(record(|_| {}).as_bytes(), "3 blend@1");
    check(record(|record| record["who"] = json!(null)).as_bytes(), "3 blend@1");
    check(b"", "malformed: EOF");
    check(b"\xff{}", "malformed: invalid utf-8");
    check(b"[]", "malformed: not an object");
    check(b"{}", "field: type: missing");
    check(record(|record| record["type"] = json!("halt")).as_bytes(), "field: type: \"halt\" is unknown");
    check(record(|record| record["type"] = json!(1)).as_bytes(), "field: type: not a text");
    check(record(|record| record["why"] = json!("x".repeat(5_000))).as_bytes(), "field: why: not a text");
    check(record(|record| record["number"] = json!(-1)).as_bytes(), "field: promotion: invalid value");
    check(record(|record| record["more"] = json!(1)).as_bytes(), "field: promotion: unknown field `more`");
    check(record(|record| record["symbol"] = json!("a|b")).as_bytes(), "field: symbol");
    check(record(|record| record["target"] = json!("a|b")).as_bytes(), "field: target");
    check(record(|record| record["ensemble"]["method"] = json!("mode")).as_bytes(), "field: promotion: ");
    let withdraw = r#"{"type": "withdraw", "number": 4, "alias": "production", "symbol": "any", "target": "up"}"#;
    check(withdraw.as_bytes(), "4 production of any-up");
    check(withdraw.replace("\"any\"", "\"a b\"").as_bytes(), "field: symbol");
    check(withdraw.replace("number", "count").as_bytes(), "field: withdraw: unknown field `count`");
    let policy =
        r#"{"type": "signals_policy", "number": 1, "consider": 0.6, "act": 0.7, "cool_down_ms": 5, "universe": 2}"#;
    check(policy.as_bytes(), "1 signals");
    check(policy.replace("0.7", "\"much\"").as_bytes(), "field: signals_policy: invalid type");
    check(&vec![b' '; 200_000], "oversized: 200000 bytes");
    // Deep nesting must not overflow the stack.
    check("[".repeat(100_000).as_bytes(), "malformed: recursion limit");
}

#[test]
fn orders_to_risk_are_understood_whole_or_not_at_all() {
    let kill = r#"{"type": "risk_kill", "id": "k-1", "who": "anna", "why": "w", "time": 5, "scope": {"account": "main"}, "level": "red"}"#;
    check(kill.as_bytes(), "0 k-1");
    check(kill.replace("{\"account\": \"main\"}", "\"everything\"").as_bytes(), "0 k-1");
    check(kill.replace("account", "accounts").as_bytes(), "field: risk_kill: unknown variant `accounts`");
    check(kill.replace("red", "mauve").as_bytes(), "field: risk_kill: unknown variant `mauve`");
    check(kill.replace("\"who\"", "\"whom\"").as_bytes(), "field: risk_kill: unknown field `whom`");
    check(kill.replace("\"anna\"", "null").as_bytes(), "field: risk_kill: who and why must be there");
    // A kill acts whatever its time.
    check(kill.replace("5", "-5").as_bytes(), "0 k-1");
    let reset = r#"{"type": "risk_reset", "id": "r", "who": "anna", "why": "w", "time": 5, "trip": "t"}"#;
    check(reset.as_bytes(), "0 r");
    check(reset.replace("5", "-5").as_bytes(), "field: risk_reset: time: -5 is no time");
    check(reset.replace("5", "9e30").as_bytes(), "field: risk_reset: invalid type");
    check(reset.replace("\"trip\"", "\"trips\"").as_bytes(), "field: risk_reset: unknown field `trips`");
    let policy =
        r#"{"type": "risk_policy", "id": "p", "who": "anna", "why": "w", "time": 5, "policy": {"version": 2}}"#;
    check(policy.as_bytes(), "0 p");
    check(policy.replace("version", "number").as_bytes(), "field: risk_policy: unknown field `number`");
    let clear = r#"{"type": "risk_clear", "id": "c", "who": "anna", "why": "w", "time": 5, "account": "main"}"#;
    check(clear.as_bytes(), "0 c");
    // What is said is said again.
    for raw in [kill, reset, policy, clear] {
        let record = CommandRecord::parse(raw.as_bytes(), 7, None).expect("an order");
        let mut again = record.wanted.to_json();
        (again["who"], again["why"]) = (json!("anna"), json!("w"));
        let again = CommandRecord::parse(again.to_string().as_bytes(), 7, None).expect("an order");
        assert_eq!(again.wanted, record.wanted);
        assert_eq!((take_orders(&mut vec![record.clone()]).len(), order_of(&record).is_some()), (1, true));
    }
}

#[test]
fn a_block_gives_records_and_rejects_and_none_is_lost() {
    let mut block = MessageBlock { partition: 4, ..MessageBlock::default() };
    let texts = [record(|_| {}), "x".to_owned(), record(|record| record["number"] = json!(4)), String::new()];
    for (position, text) in (10..).zip(&texts) {
        block.push(text.as_bytes(), position, Some(position as i64));
    }
    let (chunk, records) = decode(block);
    let numbers: Vec<(u64, u64)> = records.iter().map(|record| (record.position, record.wanted.number())).collect();
    assert_eq!(numbers, [(10, 3), (12, 4)]);
    assert_eq!((&*records[0].raw, records[0].receive_time_ns), (texts[0].as_str(), Some(10)));
    let rejects: Vec<_> =
        chunk.rejects.iter().map(|reject| (reject.partition, reject.position, &*reject.raw)).collect();
    assert_eq!(rejects, [(4, 11, &b"x"[..]), (4, 13, b"")]);
    assert_eq!((chunk.end_position, chunk.columns.partition, chunk.columns.len()), (14, 4, 0));
}
