//! Reads a text file in blocks of whole messages: lines, or the elements of a JSON document that spans lines.

mod document;

use super::prefix::cut_receive_time;
use super::stream::ByteStream;
use super::{FileOptions, RAW_LIMIT_BYTES};
use crate::decode::Format;
use crate::source::{Message, MessageBlock, PartitionReader, Progress, SourceError, Work};
use document::Document;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidewheel_schemas::{Reject, RejectReason};

/// Blocks address their bytes with 32 bits; a message may not come near.
const MESSAGE_LIMIT_BYTES: usize = 1 << 30;
/// A start so long must be enough to tell lines from a document.
const SHAPE_BYTES: usize = 64 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads one text file.
pub struct TextReader {
    name: String,
    path: PathBuf,
    size: u64,
    /// Open while it is read, so that thousands of files may wait their turn.
    stream: Option<ByteStream>,
    cutter: Cutter,
    block_bytes: usize,
    /// Bytes read that do not end a message yet.
    carry: Vec<u8>,
    shape: Option<Shape>,
    ended: bool,
    /// What is wrong with the compressed stream, once it is.
    damage: Option<String>,
}

/// How the bytes fall into messages.
enum Shape {
    Lines,
    Document(Document),
}

/// Makes messages of the pieces and remembers what a later block needs to know.
struct Cutter {
    partition: u32,
    next_position: u64,
    max_message_bytes: usize,
    is_csv: bool,
    awaits_header: bool,
    header: Option<Arc<str>>,
    /// The start of a message that is too long, while the rest of it passes by.
    oversized: Option<Arc<[u8]>>,
    /// Messages of the block before, as a guess.
    expected_messages: usize,
}

impl TextReader {
    pub fn new(path: &Path, size: u64, partition: u32, options: &FileOptions) -> Self {
        let is_csv = options.format == Format::Csv || (options.format == Format::Auto && is_named_csv(path));
        let cutter = Cutter {
            partition,
            next_position: 1,
            max_message_bytes: options.max_message_bytes.clamp(1, MESSAGE_LIMIT_BYTES),
            is_csv,
            awaits_header: is_csv && options.csv_header,
            header: None,
            oversized: None,
            expected_messages: 0,
        };
        Self {
            name: path.display().to_string(),
            path: path.to_owned(),
            size,
            stream: None,
            cutter,
            block_bytes: options.block_bytes.clamp(1, MESSAGE_LIMIT_BYTES),
            carry: Vec::new(),
            shape: None,
            ended: false,
            damage: None,
        }
    }

    /// Reads on, opening the file first and closing it at its end.
    fn fill(&mut self, buffer: &mut Vec<u8>) -> Result<(), SourceError> {
        let cannot = |source| SourceError::File { path: self.name.clone(), source };
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => self.stream.insert(ByteStream::open(&self.path).map_err(cannot)?),
        };
        match stream.read_into(buffer, self.block_bytes) {
            Ok(read) => self.ended = read < self.block_bytes,
            Err(source) if stream.disk_failed() => return Err(cannot(source)),
            Err(error) => {
                self.damage = Some(format!("compressed stream is damaged or ends too early: {error}"));
                self.ended = true;
            }
        }
        if self.ended {
            self.stream = None;
        }
        Ok(())
    }

    /// The shape of a file, as soon as enough of its start is there to tell.
    fn find_shape(&self, start: &mut Vec<u8>) -> Option<Shape> {
        let is_enough = self.ended || start.len() >= SHAPE_BYTES;
        if !is_enough && start.len() < BYTE_ORDER_MARK.len() {
            return None;
        }
        if start.starts_with(BYTE_ORDER_MARK) {
            start.drain(..BYTE_ORDER_MARK.len());
        }
        if self.cutter.is_csv { Some(Shape::Lines) } else { shape_of(start, is_enough) }
    }

    /// Cuts the buffer into a block and keeps what is left over.
    fn cut(&mut self, buffer: Vec<u8>, shape: &mut Shape) -> MessageBlock {
        let mut block = self.cutter.start_block(buffer.len());
        let partial = match shape {
            Shape::Lines => {
                let mut start = 0;
                for newline in memchr::memchr_iter(b'\n', &buffer) {
                    self.cutter.push(&mut block, &buffer, start, newline);
                    start = newline + 1;
                }
                start
            }
            Shape::Document(document) => {
                document.scan(&buffer, |start, end| self.cutter.push(&mut block, &buffer, start, end))
            }
        };
        if self.ended {
            let unfinished = match shape {
                Shape::Document(document) => document.unfinished(),
                Shape::Lines => None,
            };
            let trouble = self.damage.take().or_else(|| unfinished.map(str::to_owned));
            self.cutter.finish(&mut block, &buffer, partial, trouble);
        } else {
            let left = &buffer[partial..];
            if self.cutter.oversized.is_none() && left.len() > self.cutter.max_message_bytes {
                self.cutter.oversized = Some(head(left));
            }
            let kept = if self.cutter.oversized.is_some() { &[][..] } else { left };
            self.carry = Vec::with_capacity(kept.len() + self.block_bytes + 1);
            self.carry.extend_from_slice(kept);
            if let Shape::Document(document) = shape {
                document.rebase(kept.len());
            }
        }
        self.cutter.end_block(&mut block);
        block.bytes = buffer;
        block
    }
}

impl PartitionReader for TextReader {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self) -> Result<Option<Work>, SourceError> {
        while !self.ended {
            let mut buffer = std::mem::take(&mut self.carry);
            self.fill(&mut buffer)?;
            let Some(mut shape) = self.shape.take().or_else(|| self.find_shape(&mut buffer)) else {
                self.carry = buffer;
                continue;
            };
            let block = self.cut(buffer, &mut shape);
            self.shape = Some(shape);
            if !block.messages.is_empty() || !block.rejects.is_empty() {
                return Ok(Some(Work::Messages(block)));
            }
        }
        Ok(None)
    }

    fn progress(&self) -> Progress {
        let done = match &self.stream {
            Some(stream) => stream.consumed(),
            None if self.ended => self.size,
            None => 0,
        };
        Progress { done, total: self.size.max(done) }
    }
}

impl Cutter {
    fn start_block(&self, bytes: usize) -> MessageBlock {
        let messages = Vec::with_capacity(self.expected_messages.min(bytes));
        MessageBlock { partition: self.partition, header: self.header.clone(), messages, ..MessageBlock::default() }
    }

    fn end_block(&mut self, block: &mut MessageBlock) {
        // The header may have come with this very block.
        block.header.clone_from(&self.header);
        block.end_position = self.next_position;
        self.expected_messages = block.messages.len() + block.messages.len() / 8;
    }

    /// One message: what lies between two ends, blanks trimmed.
    #[inline]
    fn push(&mut self, block: &mut MessageBlock, buffer: &[u8], start: usize, end: usize) {
        if self.oversized.is_some() {
            return self.push_oversized(block);
        }
        let piece = &buffer[start..end];
        let piece = piece.strip_suffix(b"\r").unwrap_or(piece);
        let position = self.next_position;
        if piece.len() > self.max_message_bytes {
            self.oversized = Some(head(piece));
            return self.push_oversized(block);
        }
        self.next_position += 1;
        if piece.trim_ascii_start().is_empty() {
            return;
        }
        if self.is_csv {
            if self.awaits_header {
                self.awaits_header = false;
                self.header = Some(String::from_utf8_lossy(piece).into());
                return;
            }
            let end = start + piece.len();
            block.messages.push(Message { start: start as u32, end: end as u32, position, receive_time_ns: None });
            return;
        }
        let (receive_time_ns, message) = cut_receive_time(piece);
        // The message is a tail of the piece, so its place follows from the lengths.
        let end = start + piece.len();
        let start = end - message.len();
        block.messages.push(Message { start: start as u32, end: end as u32, position, receive_time_ns });
    }

    #[cold]
    fn push_oversized(&mut self, block: &mut MessageBlock) {
        let raw = self.oversized.take().unwrap_or_default();
        let detail = format!("longer than {} bytes, the most a message may have", self.max_message_bytes);
        self.reject(block, RejectReason::Oversized, detail, raw);
    }

    /// The end of the file: a last line without a line end, or whatever a damaged stream left.
    fn finish(&mut self, block: &mut MessageBlock, buffer: &[u8], partial: usize, trouble: Option<String>) {
        let left = &buffer[partial..];
        match trouble {
            _ if self.oversized.is_some() => self.push_oversized(block),
            Some(detail) => self.reject(block, RejectReason::Truncated, detail, head(left)),
            None if left.is_empty() => {}
            None => self.push(block, buffer, partial, buffer.len()),
        }
    }

    fn reject(&mut self, block: &mut MessageBlock, reason: RejectReason, detail: String, raw: Arc<[u8]>) {
        let (partition, position) = (self.partition, self.next_position);
        block.rejects.push(Reject { partition, position, reason, records: 1, detail, raw, receive_time_ns: None });
        self.next_position += 1;
    }
}

fn head(bytes: &[u8]) -> Arc<[u8]> {
    bytes[..bytes.len().min(RAW_LIMIT_BYTES)].into()
}

fn is_named_csv(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    [".csv", ".csv.gz", ".csv.zst"].iter().any(|ending| name.ends_with(ending))
}

/// Lines, unless the file starts the way only a document does; nothing while more of the start might tell otherwise.
///
/// An array of objects is a document if it does not end on its first line, or if there is no other line. Kraken's
/// `[42,[[...]],"trade","XBT/USD"]` is a line. An object is a document only where its brace stands alone on the first
/// line, as printers indent it; any other `{` may be a damaged line of its own and must not swallow the ones after it.
fn shape_of(start: &[u8], is_enough: bool) -> Option<Shape> {
    let text = start.trim_ascii_start();
    let may_be_document = matches!(text.first(), None | Some(b'[' | b'{'));
    let line_end = memchr::memchr(b'\n', text);
    if may_be_document && line_end.is_none() && !is_enough {
        return None;
    }
    let (line, rest) = text.split_at(line_end.unwrap_or(text.len()));
    let is_array = match line.trim_ascii_end() {
        b"{" => return Some(Shape::Document(Document::of_values())),
        b"[" => true,
        [b'[', elements @ ..] if elements.trim_ascii_start().starts_with(b"{") => {
            let is_whole = Document::of_elements().holds_whole(line);
            let is_alone = rest.trim_ascii().is_empty();
            if is_whole && is_alone && !is_enough {
                return None;
            }
            !is_whole || is_alone
        }
        _ => false,
    };
    Some(if is_array { Shape::Document(Document::of_elements()) } else { Shape::Lines })
}

#[cfg(test)]
mod tests;
