//! Finds the elements of a JSON array, or the values of a file of indented values, without parsing them.
//!
//! Only brackets, strings and commas are looked at; whether an element is good JSON is for the decoder to say.

/// Where the scan stands. It may stop anywhere and go on with the next bytes.
pub struct Document {
    is_array: bool,
    /// Inside the array.
    is_open: bool,
    /// Inside an element.
    is_started: bool,
    /// Inside a string, and just after a backslash there.
    in_string: bool,
    is_escaped: bool,
    /// Brackets open inside the element.
    depth: usize,
    /// Bytes at the start of the next buffer that were seen already.
    scanned: usize,
}

impl Document {
    /// The elements of a top-level array.
    pub const fn of_elements() -> Self {
        Self {
            is_array: true,
            is_open: false,
            is_started: false,
            in_string: false,
            is_escaped: false,
            depth: 0,
            scanned: 0,
        }
    }

    /// Top-level values one after the other.
    pub const fn of_values() -> Self {
        Self { is_array: false, ..Self::of_elements() }
    }

    /// Whether the text is an array from start to end.
    pub fn holds_whole(mut self, text: &[u8]) -> bool {
        self.scan(text, |_, _| {});
        !self.is_open && !self.is_started
    }

    /// Calls `emit` with start and end of each element that ends in the buffer; returns where the unfinished one starts.
    pub fn scan(&mut self, buffer: &[u8], mut emit: impl FnMut(usize, usize)) -> usize {
        let mut start = 0;
        for (at, &byte) in buffer.iter().enumerate().skip(self.scanned) {
            if self.in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            if !self.is_started {
                if !self.starts_element(byte) {
                    continue;
                }
                self.is_started = true;
                start = at;
            }
            if let Some(end) = self.ends_element(byte, at) {
                self.is_started = false;
                emit(start, start + buffer[start..end].trim_ascii_end().len());
            }
        }
        self.scanned = buffer.len();
        if self.is_started { start } else { buffer.len() }
    }

    /// Tells that only the last `kept` bytes of the buffer will be at the start of the next one.
    pub const fn rebase(&mut self, kept: usize) {
        self.scanned = kept;
    }

    /// What is missing if the file ends here.
    pub const fn unfinished(&self) -> Option<&'static str> {
        if self.is_open {
            Some("the file ends inside a JSON array")
        } else if self.depth > 0 || self.in_string {
            Some("the file ends inside a JSON value")
        } else {
            None
        }
    }

    const fn starts_element(&mut self, byte: u8) -> bool {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => false,
            b'[' if self.is_array && !self.is_open => {
                self.is_open = true;
                false
            }
            b',' if self.is_open => false,
            b']' if self.is_open => {
                self.is_open = false;
                false
            }
            _ => true,
        }
    }

    /// Where the element ends, if this byte ends it.
    const fn ends_element(&mut self, byte: u8, at: usize) -> Option<usize> {
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                if self.depth == 0 && !self.is_array {
                    return Some(at + 1);
                }
            }
            b']' if self.is_open => {
                self.is_open = false;
                return Some(at);
            }
            b',' if self.depth == 0 && self.is_open => return Some(at),
            // A stray word between values, or after the array, ends with its line.
            b'\n' if self.depth == 0 && !self.is_open => return Some(at),
            _ => {}
        }
        None
    }
}
