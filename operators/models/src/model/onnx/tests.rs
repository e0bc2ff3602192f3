//! ONNX files that are broken, hostile, or do what is not done: each refused for its own reason, none of them built.

use super::*;
use crate::model::Model;
use prost::Message;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
};

fn manifest() -> Manifest {
    let json = br#"{"id": "any-up-net", "version": 1, "format": "onnx", "view": {"name": "test", "version": 1},
        "features": ["a", "b", "c"], "output": "expected_return", "artifact": "model.onnx", "golden": "golden.json",
        "card": {"author": "", "intended_use": "", "trained_from": "", "trained_to": ""}}"#;
    Manifest::from_json(json).expect("a manifest")
}

fn value(name: &str, shape: &[i64]) -> ValueInfoProto {
    let dimension = |size: &i64| Dimension { value: Some(dimension::Value::DimValue(*size)), ..Dimension::default() };
    let shape = Some(TensorShapeProto { dim: shape.iter().map(dimension).collect() });
    let tensor = type_proto::Tensor { elem_type: 1, shape };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..ValueInfoProto::default() }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let (name, float_data) = (name.to_owned(), values.to_vec());
    TensorProto { name, dims: dims.to_vec(), data_type: 1, float_data, ..TensorProto::default() }
}

fn integers(name: &str, values: &[i64]) -> TensorProto {
    let (name, dims) = (name.to_owned(), vec![values.len() as i64]);
    TensorProto { name, dims, data_type: 7, int64_data: values.to_vec(), ..TensorProto::default() }
}

fn node(op: &str, input: &[&str], output: &str) -> NodeProto {
    let input = input.iter().map(|&name| name.to_owned()).collect();
    NodeProto {
        op_type: op.to_owned(),
        name: format!("the {op}"),
        input,
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// `y = x * w`, of three features.
fn model() -> ModelProto {
    let graph = GraphProto {
        input: vec![value("x", &[1, 3])],
        output: vec![value("y", &[1, 1])],
        initializer: vec![floats("w", &[3, 1], &[1.0, 2.0, 4.0])],
        node: vec![node("MatMul", &["x", "w"], "y")],
        ..GraphProto::default()
    };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
    ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..ModelProto::default() }
}

/// Changes the graph of the model.
fn changed(change: impl FnOnce(&mut GraphProto)) -> Vec<u8> {
    let mut model = model();
    change(model.graph.as_mut().expect("the model has a graph"));
    model.encode_to_vec()
}

fn refusal(bytes: &[u8]) -> String {
    Model::load(&manifest(), bytes).map(drop).expect_err("a file that is not taken").to_string()
}

#[test]
fn a_plain_graph_scores() {
    let model = Model::load(&manifest(), &model().encode_to_vec()).expect("a model");
    assert_eq!(model.score(&[1.0, 10.0, 100.0]), Ok(421.0));
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused_or_is_still_that_file() {
    let bytes = include_bytes!("../../../../../deploy/models/demo/mlp/model.onnx");
    for length in (0..bytes.len()).step_by(7) {
        let error = refusal(&bytes[..length]);
        assert!(error.starts_with("could not "), "{length}: {error}");
    }
}

#[test]
fn a_file_with_bytes_changed_is_refused_or_scores_and_never_ends_the_process() {
    let bytes = include_bytes!("../../../../../deploy/models/demo/lstm/model.onnx");
    let json = include_bytes!("../../../../../deploy/models/demo/lstm/manifest.json");
    let manifest = Manifest::from_json(json).expect("a manifest");
    let input = vec![0.5; manifest.input_len()];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let (mut refused, mut scored) = (0, 0);
    for _ in 0..400 {
        let mut bytes = bytes.to_vec();
        for _ in 0..3 {
            // xorshift64: the same every time.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = usize::try_from(random % bytes.len() as u64).expect("a place in the file");
            bytes[at] = (random >> 32) as u8;
        }
        match Model::load(&manifest, &bytes) {
            Ok(model) => {
                scored += 1;
                drop(model.score(&input));
            }
            Err(_) => refused += 1,
        }
    }
    println!("{refused} refused, {scored} still scored");
    assert!(refused > 20 && scored > 20, "{refused} refused, {scored} scored: one side is not tried");
}

#[test]
fn tensors_that_lie_about_their_size_or_place_are_refused() {
    let tensor = |change: fn(&mut TensorProto)| refusal(&changed(|graph| change(&mut graph.initializer[0])));
    for (error, expected) in [
        (tensor(|it| it.dims = vec![1 << 40, 1 << 40]), "the size of tensor \"w\" is 18446744073709551615"),
        (tensor(|it| it.dims = vec![4, 1]), "tensor \"w\" has 3 numbers for a shape of 4"),
        (tensor(|it| it.dims = vec![-3, 1]), "tensor \"w\" has -3 rows"),
        (tensor(|it| it.dims = vec![1; 9]), "9 dimensions"),
        (tensor(|it| it.data_type = 11), "is of type 11"),
        (tensor(|it| it.data_type = 99), "is of type 99"),
        (tensor(|it| it.float_data[1] = f32::NAN), "not a finite number"),
        (tensor(|it| it.raw_data = vec![0; 13]), "numbers for a shape"),
        (tensor(|it| it.data_location = Some(1)), "data in another file"),
        (
            tensor(|it| {
                let (key, value) = ("location".to_owned(), "/etc/passwd".to_owned());
                it.external_data.push(StringStringEntryProto { key, value });
            }),
            "data in another file",
        ),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn graphs_that_would_take_too_much_are_refused_before_they_are_built() {
    // Twice an outer product of 3,000 by 3,000: 36 MB that nobody asked for, of a file of 24 kB.
    let outer = changed(|graph| {
        graph.initializer =
            vec![floats("row", &[1, 3_000], &[1.0; 3_000]), floats("column", &[3_000, 1], &[1.0; 3_000])];
        graph.node = vec![node("Mul", &["row", "column"], "wide"), node("Add", &["wide", "x"], "y")];
    });
    assert!(refusal(&outer).contains("the size of tensor \"wide\" is 9000000, the most is"), "{}", refusal(&outer));
    // A hundred products of 1,000 by 1,000: within memory, but of 10^11 multiplications.
    let slow = changed(|graph| {
        graph.initializer = vec![floats("m0", &[1_000, 1_000], &vec![0.0; 1_000_000])];
        graph.node = (0..100).map(|at| node("MatMul", &[&format!("m{at}"), "m0"], &format!("m{}", at + 1))).collect();
    });
    assert!(refusal(&slow).contains("the number of its multiplications"), "{}", refusal(&slow));
    let many = changed(|graph| graph.node = (0..3_000).map(|at| node("Relu", &["x"], &format!("y{at}"))).collect());
    assert!(refusal(&many).contains("the number of its nodes is 3000"), "{}", refusal(&many));
    // Nodes of two bytes each, which would be 200 bytes each once decoded.
    let mut swarm = vec![0x3a, 0xc0, 0x84, 0x3d];
    swarm.extend([0x0a, 0x00].repeat(500_000));
    assert!(refusal(&swarm).contains("the number of its messages"), "{}", refusal(&swarm));
    assert!(refusal(&vec![0; 33 << 20]).contains("its size in bytes is"));
}

#[test]
fn golden_vectors_of_a_large_graph_must_be_few() {
    // Two million multiplications a score.
    let bytes = changed(|graph| {
        graph.initializer =
            vec![floats("up", &[3, 2_000], &vec![0.5; 6_000]), floats("w", &[2_000, 1_000], &vec![0.0; 2_000_000])];
        graph.node = vec![node("MatMul", &["x", "up"], "wide"), node("MatMul", &["wide", "w"], "y")];
        graph.node[1].name = "another".to_owned();
    });
    let golden = |count: usize| {
        let vector = r#"{"symbol": "a", "rows": [[1, 2, 3]], "expected": 0.0}"#;
        let vectors = vec![vector; count].join(", ");
        format!(
            r#"{{"made_by": "hand", "features": ["a", "b", "c"], "absolute_tolerance": 0, "relative_tolerance": 0,
                "vectors": [{vectors}]}}"#
        )
    };
    let verify = |count: usize| {
        let (golden, manifest) = (golden(count), manifest().to_json());
        let file = |name: &str| Some(if name == "model.onnx" { bytes.as_slice() } else { golden.as_bytes() });
        crate::LoadedModel::load(&manifest, file).expect("a model").verify().map_err(|error| error.to_string())
    };
    assert_eq!(verify(3).map(|agreement| agreement.vectors), Ok(3));
    let told = verify(1_000).expect_err("too much");
    assert!(told.ends_with("steps, the most is 2000000000; give fewer of them"), "{told}");
}

#[test]
fn lists_of_dimensions_are_short_and_name_each_once() {
    let with = |op: &str, name: &str, ints: Vec<i64>| {
        refusal(&changed(|graph| {
            let mut first = node(op, &["x"], "z");
            first.attribute.push(AttributeProto { name: name.to_owned(), ints, ..AttributeProto::default() });
            graph.node.insert(0, first);
        }))
    };
    // Looked up one in the other, a million would take a day.
    for (op, name) in [("Unsqueeze", "axes"), ("Squeeze", "axes"), ("ReduceSum", "axes"), ("Transpose", "perm")] {
        let error = with(op, name, vec![0; 1_000_000]);
        assert!(error.contains("1000000 entries, for dimensions of at most 8"), "{error}");
        let error = with(op, name, vec![0, 0]);
        assert!(error.contains("dimension 0 stands there twice"), "{error}");
    }
    let error = with("Unsqueeze", "axes", vec![0, -4]);
    assert!(error.contains("dimension 0 stands there twice"), "counted from the end it is the same: {error}");
    assert!(with("Reshape", "shape", vec![1; 9]).contains("9 entries"));
}

#[test]
fn the_document_names_the_operators_that_are_taken() {
    let document = include_str!("../../../README.md");
    let (_, list) = document.split_once("<!-- operators -->\n").expect("a mark before the list");
    let (list, _) = list.split_once("<!-- end of operators -->").expect("a mark behind it");
    let named: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    let mut taken: Vec<&str> = shapes::operators().collect();
    taken.sort_unstable();
    assert_eq!(named, taken, "write this into README.md of this crate: `{}`", taken.join("`, `"));
    // What is named has a rule: a node of it alone fails, if it does, for another reason.
    for op in named {
        let bytes = changed(|graph| graph.node = vec![node(op, &["x", "w"], "y")]);
        if let Err(error) = Model::load(&manifest(), &bytes) {
            assert!(!error.to_string().contains("this operator is not done here"), "{op}: {error}");
        }
    }
}

#[test]
fn what_holds_code_or_is_not_in_the_table_is_refused() {
    let first = |change: fn(&mut NodeProto)| refusal(&changed(|graph| change(&mut graph.node[0])));
    let whole = |change: fn(&mut ModelProto)| {
        let mut model = model();
        change(&mut model);
        refusal(&model.encode_to_vec())
    };
    let loops = first(|it| {
        it.op_type = "Loop".to_owned();
        let body = GraphProto { node: vec![NodeProto::default()], ..GraphProto::default() };
        it.attribute.push(AttributeProto { name: "body".to_owned(), g: Some(body), ..AttributeProto::default() });
    });
    for (error, expected) in [
        (loops, "a node holds a graph of its own"),
        (first(|it| it.op_type = "Scan".to_owned()), "(Scan): this operator is not done here"),
        (first(|it| it.op_type = "ConstantOfShape".to_owned()), "this operator is not done here"),
        (first(|it| it.op_type = "RandomNormal".to_owned()), "this operator is not done here"),
        (first(|it| it.domain = "com.microsoft".to_owned()), "domain \"com.microsoft\" is not done here"),
        (first(|it| it.domain = "ai.onnx.ml".to_owned()), "not one tree ensemble"),
        (first(|it| it.input[0] = "y".to_owned()), "it reads \"y\", which is no float tensor that stands before it"),
        (first(|it| it.output[0] = "w".to_owned()), "tensor \"w\" is defined twice"),
        (first(|it| it.output[0] = "z".to_owned()), "no node gives output \"y\""),
        (first(|it| drop(it.input.pop())), "input 1 is missing"),
        (first(|it| it.output.push("more".to_owned())), "outputs that are not taken"),
        (whole(|it| it.opset_import[0].version = 6), "operator set ai.onnx 6; export with 8 to 22"),
        (whole(|it| it.opset_import[0].version = 99), "operator set ai.onnx 99"),
        (whole(|it| it.opset_import.clear()), "names no operator set"),
        (whole(|it| it.graph = None), "0 graphs"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
    let open = refusal(&changed(|graph| graph.input = vec![value("x", &[1, 0])]));
    assert!(open.contains("dimension 1 of input \"x\" is not fixed"), "{open}");
    let two = refusal(&changed(|graph| graph.input.push(value("x2", &[1, 3]))));
    assert!(two.contains("exactly one input"), "{two}");
    let shape = refusal(&changed(|graph| {
        graph.initializer.push(integers("shape", &[2, -1]));
        graph.node.insert(0, node("Reshape", &["x", "shape"], "z"));
    }));
    assert!(shape.contains("[1, 3] cannot be given the shape [2, -1]"), "{shape}");
}

#[test]
fn a_graph_that_gives_no_number_is_a_refusal_of_the_row() {
    // The logarithm of a negative number.
    let bytes = changed(|graph| {
        graph.node = vec![node("MatMul", &["x", "w"], "z"), node("Log", &["z"], "y")];
    });
    let model = Model::load(&manifest(), &bytes).expect("a model");
    assert_eq!(model.score(&[-1.0, 0.0, 0.0]), Err(Refusal::OutputNotFinite));
    assert_eq!(model.score(&[1.0, 0.0, 0.0]), Ok(0.0));
}

/// A tree ensemble of one tree: `a <= 0.5 ? 10 : 20`.
fn tree(change: impl FnOnce(&mut NodeProto)) -> Vec<u8> {
    let ints = |name: &str, ints: &[i64]| AttributeProto {
        name: name.to_owned(),
        ints: ints.to_vec(),
        ..AttributeProto::default()
    };
    let numbers = |name: &str, floats: &[f32]| AttributeProto {
        name: name.to_owned(),
        floats: floats.to_vec(),
        ..AttributeProto::default()
    };
    let modes = ["BRANCH_LEQ", "LEAF", "LEAF"].map(|mode| mode.as_bytes().to_vec()).to_vec();
    let mut trees = node("TreeEnsembleRegressor", &["x"], "y");
    trees.domain = "ai.onnx.ml".to_owned();
    trees.attribute = vec![
        AttributeProto { name: "n_targets".to_owned(), i: 1, ..AttributeProto::default() },
        ints("nodes_treeids", &[0, 0, 0]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[0, 0, 0]),
        ints("nodes_truenodeids", &[1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0]),
        numbers("nodes_values", &[0.5, 0.0, 0.0]),
        AttributeProto { name: "nodes_modes".to_owned(), strings: modes, ..AttributeProto::default() },
        ints("target_treeids", &[0, 0]),
        ints("target_nodeids", &[1, 2]),
        ints("target_ids", &[0, 0]),
        numbers("target_weights", &[10.0, 20.0]),
    ];
    change(&mut trees);
    let mut model = model();
    model.opset_import.push(OperatorSetIdProto { domain: "ai.onnx.ml".to_owned(), version: 3 });
    let graph = model.graph.as_mut().expect("the model has a graph");
    graph.initializer.clear();
    graph.node = vec![trees];
    model.encode_to_vec()
}

#[test]
fn a_tree_ensemble_is_walked_and_one_that_is_no_tree_is_refused() {
    let model = Model::load(&manifest(), &tree(|_| {})).expect("a model");
    assert_eq!([0.5, 0.6].map(|a| model.score(&[a, 0.0, 0.0])), [Ok(10.0), Ok(20.0)]);
    let broken = |change: fn(&mut NodeProto)| refusal(&tree(change));
    for (error, expected) in [
        (broken(|it| it.attribute[4].ints[0] = 0), "it is not a tree"),
        (broken(|it| it.attribute[5].ints[0] = 1), "it is not a tree"),
        (broken(|it| it.attribute[5].ints[0] = 7), "points to 7, which is not there"),
        (broken(|it| it.attribute[3].ints[0] = 3), "asks for feature number 3, there are 3"),
        (broken(|it| it.attribute[3].ints[0] = -1), "feature number -1"),
        (broken(|it| it.attribute[6].floats.truncate(2)), "nodes_values has 2 entries where 3"),
        (broken(|it| it.attribute[11].floats[0] = f32::INFINITY), "not a finite number"),
        (broken(|it| it.attribute[10].ints[0] = 1), "a leaf adds to output 1, there are 1"),
        (broken(|it| it.attribute[9].ints[0] = 0), "has a weight and is not there"),
        (broken(|it| it.attribute[2].ints[2] = 1), "node 1 of tree 0 is there twice"),
        (broken(|it| it.attribute[0].i = 2), "2 targets"),
        (broken(|it| it.attribute[7].strings[0] = b"BRANCH_EQ".to_vec()), "compares by BRANCH_EQ"),
        (broken(|it| it.op_type = "TreeEnsemble".to_owned()), "TreeEnsemble is not taken"),
        (broken(|it| it.input[0] = "z".to_owned()), "does not read the graph's input"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}
