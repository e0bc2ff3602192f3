//! Records of the control topic, and what is decided about them.
