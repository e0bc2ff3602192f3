//! Shapes of the recurrent operators: LSTM, GRU and RNN, with the activations that are usual.

use super::super::ModelError;
use super::shapes::Reader;

/// The shapes of all outputs (every step, the last hidden state, the last cell), and the multiplications they take.
pub(super) fn outputs(reader: &Reader<'_, '_>) -> Result<(Vec<Vec<usize>>, u64), ModelError> {
    let gates = match reader.node.op_type.as_str() {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    };
    let refused_attributes = ["activations", "activation_alpha", "activation_beta", "clip"];
    if let Some(name) = refused_attributes.iter().find(|name| reader.attribute(name).is_some()) {
        return Err(reader.refused(&format!("attribute {name} is not taken")));
    }
    if reader.integer("layout", 0) != 0 || reader.integer("input_forget", 0) != 0 {
        return Err(reader.refused("attributes layout and input_forget are not taken"));
    }
    let directions = match reader.attribute("direction").map(|attribute| attribute.s.as_slice()) {
        None | Some(b"forward" | b"reverse") => 1,
        Some(b"bidirectional") => 2,
        Some(_) => return Err(reader.broken("it has an unknown direction")),
    };
    let &[steps, batch, inputs] = reader.shape(0)? else { return Err(reader.broken("its input has not 3 dimensions")) };
    let hidden = usize::try_from(reader.integer("hidden_size", 0)).ok().filter(|hidden| *hidden > 0);
    let hidden = hidden.ok_or_else(|| reader.broken("it has no hidden_size"))?;
    let rows = hidden.checked_mul(gates).ok_or_else(|| reader.broken("its hidden_size is out of reason"))?;
    let expect = |input: usize, wanted: &[usize]| {
        let given = reader.shape(input)?;
        let told = || reader.broken(&format!("input {input} has the shape {given:?} where {wanted:?} is wanted"));
        if given == wanted { Ok(()) } else { Err(told()) }
    };
    expect(1, &[directions, rows, inputs])?;
    expect(2, &[directions, rows, hidden])?;
    if reader.has(3) {
        expect(3, &[directions, 2 * rows])?;
    }
    if reader.has(4) {
        return Err(reader.refused("sequences of several lengths are not taken"));
    }
    for input in [5, 6].into_iter().filter(|input| reader.has(*input)) {
        expect(input, &[directions, batch, hidden])?;
    }
    if reader.has(7) {
        return Err(reader.refused("peepholes are not taken"));
    }
    let sizes = [steps, batch, directions, rows];
    let work = sizes.iter().fold((inputs + hidden) as u64, |work, size| work.saturating_mul(*size as u64));
    let state = vec![directions, batch, hidden];
    let mut outputs = vec![vec![steps, directions, batch, hidden], state.clone()];
    if gates == 4 {
        outputs.push(state);
    }
    Ok((outputs, work))
}
