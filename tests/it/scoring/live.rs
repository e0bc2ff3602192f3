//! The program on a real broker with a control topic.
