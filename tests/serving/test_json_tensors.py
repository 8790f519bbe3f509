"""REST bodies to arrays and back, point by point after TensorFlow Serving's json_tensor.cc."""

import base64
import json

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st
from tensorflow.core.framework import types_pb2

from serving.server.errors import ServingError
from serving.server.json_answers import write_predict
from serving.server.json_tensors import read_predict
from serving.server.json_text import parse_object, signature_name
from serving.server.servable import Signature, TensorInfo

DTYPES = {
    "float": (np.dtype(np.float32), types_pb2.DT_FLOAT),
    "double": (np.dtype(np.float64), types_pb2.DT_DOUBLE),
    "half": (np.dtype(np.float16), types_pb2.DT_HALF),
    "int8": (np.dtype(np.int8), types_pb2.DT_INT8),
    "int32": (np.dtype(np.int32), types_pb2.DT_INT32),
    "int64": (np.dtype(np.int64), types_pb2.DT_INT64),
    "uint8": (np.dtype(np.uint8), types_pb2.DT_UINT8),
    "uint64": (np.dtype(np.uint64), types_pb2.DT_UINT64),
    "bool": (np.dtype(bool), types_pb2.DT_BOOL),
    "string": (np.dtype(object), types_pb2.DT_STRING),
}


def signature(**inputs):
    infos = {name: TensorInfo(name, *DTYPES[kind], None) for name, kind in inputs.items()}
    return Signature("serving_default", "tensorflow/serving/predict", infos, {})


PAIR = signature(image="string", caption="string")


def parse(body, of=PAIR):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return read_predict(parse_object(body), of)


def refused(body, of=PAIR, code=grpc.StatusCode.INVALID_ARGUMENT):
    with pytest.raises(ServingError) as error:
        parse(body, of)
    assert error.value.code == code
    return error.value.message


def b64(data):
    return {"b64": base64.b64encode(data).decode()}


def test_rows_of_several_inputs():
    picture = bytes(range(256)) + b"\0"
    request = parse({"instances": [{"image": b64(picture), "caption": "ä dragon"}] * 2})
    assert request.is_row
    assert request.inputs["image"].dtype == object
    assert request.inputs["image"].tolist() == [picture] * 2
    assert request.inputs["caption"].tolist() == ["ä dragon".encode()] * 2


@pytest.mark.parametrize("row", [5, {"x": 5}])
def test_rows_of_one_input_may_be_named_or_not(row):
    assert parse({"instances": [row, row]}, signature(x="int32")).inputs["x"].tolist() == [5, 5]


def test_rows_of_one_string_input_may_be_base64():
    request = parse({"instances": [b64(b"\xff"), "a"]}, signature(x="string"))
    assert request.inputs["x"].tolist() == [b"\xff", b"a"]


def test_columns():
    body = {"inputs": {"image": [b64(b"\xff")], "caption": ["a"], "more": 1}}
    request = parse(body)
    assert not request.is_row
    assert {name: array.tolist() for name, array in request.inputs.items()} == {
        "image": [b"\xff"],
        "caption": [b"a"],
    }


@pytest.mark.parametrize(
    ("value", "shape"),
    [(7, ()), ([7, 8], (2,)), ([[7], [8]], (2, 1)), ([], (0,)), ([[], []], (2, 0))],
)
def test_columns_of_one_input_may_be_unnamed(value, shape):
    made = parse({"inputs": value}, signature(x="int64")).inputs["x"]
    assert made.shape == shape
    assert made.tolist() == value


def test_a_single_base64_value_is_a_scalar():
    made = parse({"inputs": b64(b"\0\xff")}, signature(x="string")).inputs["x"]
    assert made.shape == ()
    assert made[()] == b"\0\xff"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b" \n", "JSON Parse error: The document is empty. at offset: 2"),
        (b"\xff\xfe\x00", "JSON Parse error: Invalid value. at offset: 0"),
        (b'{"a"', "JSON Parse error: Missing a colon after a name of object member. at offset: 4"),
        (b"{a", "JSON Parse error: Missing a name for object member. at offset: 1"),
        (b'{"a": "b', "JSON Parse error: Missing a closing quotation mark in string. at offset: 6"),
        (
            b'{"instances": [' + b"9" * 5000 + b"]}",
            "JSON Parse error: Number too big to be stored in double.",
        ),
        (b"[" * 100_000, "JSON Parse error: The document is nested too deeply."),
        (b'{"a":' * 100_000, "JSON Parse error: The document is nested too deeply."),
        (b"5", "JSON Value: 5 Is not object"),
        (b"[]", "JSON Value: [] Is not object"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (
            b'{"instances": []}',
            "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array",
        ),
        (
            b'{"instances": 5}',
            "JSON Value: {\n    \"instances\": 5\n} Excepting 'instances' to be an list/array",
        ),
        (
            b'{"instances": [1], "inputs": [1]}',
            'JSON Value: {\n    "instances": [\n        1\n    ],\n    "inputs": '
            "[\n        1\n    ]\n}"
            " Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        ),
        (
            b'{"instances": [1]}',
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map",
        ),
        (
            b'{"inputs": [1]}',
            "inputs is a plain value/list, but expecting an object as multiple input tensors "
            "required as per tensorinfo_map",
        ),
        (b'{"inputs": {"image": "a"}}', "Missing named input: caption in 'inputs' object."),
        (
            b'{"instances": [{"image": "a", "caption": "b"}, {"image": "a"}]}',
            "Failed to process element: 1 of 'instances' list. JSON object: "
            '{\n    "image": "a"\n}'
            " keys must be equal to: caption,image",
        ),
        (
            b'{"instances": [{"image": "a", "picture": "b"}]}',
            "Failed to process element: 0 key: picture of 'instances' list. Error: "
            "INVALID_ARGUMENT: JSON object: does not have named input: picture",
        ),
        (
            b'{"instances": [{"image": "a", "caption": "b"}, "c"]}',
            "Expecting object but got list at item 1 of input list",
        ),
        (
            b'{"instances": [{"image": "a", "caption": 5}]}',
            "Failed to process element: 0 key: caption of 'instances' list. Error: "
            "INVALID_ARGUMENT: JSON Value: 5 Type: Number is not of expected type: string",
        ),
        (
            b'{"instances": [{"image": "a", "caption": "b"}, '
            b'{"image": {"b64": "?"}, "caption": ""}]}',
            "Failed to process element: 1 key: image of 'instances' list. Error: "
            "INVALID_ARGUMENT: Unable to base64 decode",
        ),
        (
            b'{"instances": [{"image": {"b64": 5}, "caption": "b"}]}',
            "Failed to process element: 0 key: image of 'instances' list. Error: "
            'INVALID_ARGUMENT: JSON Value: {\n    "b64": 5\n} not formatted correctly for base64 '
            "data",
        ),
        (
            b'{"instances": [{"image": {"b64": "", "c": 1}, "caption": "b"}]}',
            "Failed to process element: 0 key: image of 'instances' list. Error: "
            'INVALID_ARGUMENT: JSON Value: {\n    "b64": "",\n    "c": 1\n} not formatted '
            "correctly for base64 data",
        ),
        (
            b'{"inputs": {"image": "\\ud800", "caption": ""}}',
            "JSON Parse error: The surrogate pair in string is invalid.",
        ),
    ],
)
def test_bad_bodies_are_told_in_the_words_of_the_real_server(body, message):
    assert refused(body) == message


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("int32", 1.0, "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ("int32", True, "JSON Value: true Type: True is not of expected type: int32"),
        ("int32", None, "JSON Value: null Type: Null is not of expected type: int32"),
        ("int32", "5", 'JSON Value: "5" Type: String is not of expected type: int32'),
        ("int32", 2**31, "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
        ("uint8", 256, "JSON Value: 256 Type: Number is not of expected type: uint8"),
        ("uint64", -1, "JSON Value: -1 Type: Number is not of expected type: uint64"),
        ("int64", 2**63, f"JSON Value: {2**63} Type: Number is not of expected type: int64"),
        (
            "int64",
            {"b64": ""},
            'JSON Value: {\n    "b64": ""\n} Type: Object is not of expected type: int64',
        ),
        ("bool", 1, "JSON Value: 1 Type: Number is not of expected type: bool"),
        ("float", "1", 'JSON Value: "1" Type: String is not of expected type: float'),
        ("float", False, "JSON Value: false Type: False is not of expected type: float"),
        ("string", 5, "JSON Value: 5 Type: Number is not of expected type: string"),
        ("string", False, "JSON Value: false Type: False is not of expected type: string"),
        (
            "int32",
            [[1], [2, 3]],
            "Encountered list at unexpected size: 2 at level: 1 expected size: 1",
        ),
        ("int32", [1, [2]], "Encountered list at unexpected level: 1 expected < 1"),
        (
            "int32",
            [[1], 2],
            "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        ),
    ],
)
def test_wrong_values(kind, value, message):
    assert refused({"inputs": {"x": value}}, signature(x=kind)) == message
    in_row = refused({"instances": [value]}, signature(x=kind))
    if not isinstance(value, dict):  # which names inputs
        assert in_row == (
            f"Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: {message}"
        )


def test_half_inputs_are_not_implemented():
    message = refused({"inputs": 1.5}, signature(x="half"), grpc.StatusCode.UNIMPLEMENTED)
    assert message == "Conversion of JSON Value: 1.5 to type: half"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1], [2, 3]], "Expecting tensor size: 1 but got: 2"),
        ([[[1, 2]], [[3], [4]]], "Expecting shape [1,2] but got: [2,1]"),
    ],
)
def test_rows_of_unequal_shape_are_told_by_number(rows, message):
    assert refused({"instances": rows}, signature(x="int32")) == (
        f"Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: {message}"
    )


def test_an_object_among_values_is_told_by_number():
    assert refused({"instances": [1, {"x": 2}]}, signature(x="int32")) == (
        "Expecting value/list but got object at item 1 of input list"
    )


def test_a_number_too_big_for_a_double_is_refused_and_infinity_is_not():
    of = signature(x="double")
    too_big = "JSON Parse error: Number too big to be stored in double."
    assert refused(b'{"inputs": [1, 1e999]}', of) == too_big
    assert refused(b'{"inputs": [' + b"9" * 400 + b"]}", of) == too_big
    assert too_big in refused(b'{"instances": [1.5, ' + b"9" * 400 + b"]}", of)
    assert parse(b'{"inputs": [' + b"9" * 300 + b"]}", of).inputs["x"] == [1e300]
    made = parse(b'{"inputs": [NaN, Infinity, -Infinity]}', of).inputs["x"]
    np.testing.assert_array_equal(made, [np.nan, np.inf, -np.inf])


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("float", b"16777217", np.float32(2**24)),
        ("float", b"-18446744073709551615", np.float32(-(2**64))),
        ("float", b"1e39", np.float32(np.inf)),
        ("float", b"-1e300", np.float32(-np.inf)),
        ("double", b"9007199254740993", float(2**53)),
        ("double", b"123456789012345678901234567890", 123456789012345678901234567890.0),
    ],
)
def test_numbers_that_lose_precision_are_taken(kind, text, expected):
    made = parse(b'{"inputs": [' + text + b", 1]}", signature(x=kind)).inputs["x"]
    assert made.dtype == DTYPES[kind][0]
    assert made.tolist() == [expected, 1]


def test_nan_and_infinity_are_read_in_all_their_spellings():
    body = b'{"instances": [NaN, -NaN, Inf, -Inf, Infinity, -Infinity], "note": "-NaN \\" Inf"}'
    document = parse_object(body)
    made = read_predict(document, signature(x="float")).inputs["x"]
    np.testing.assert_array_equal(
        made, np.float32([np.nan, np.nan, np.inf, -np.inf, np.inf, -np.inf])
    )
    assert document["note"] == '-NaN " Inf'
    assert refused(b'{"inputs": [Infinit]}', signature(x="float")).startswith("JSON Parse error")
    assert refused(b'{"inputs": [-NaNs]}', signature(x="float")).startswith("JSON Parse error")


def test_an_endless_string_after_an_uncommon_word_is_told_at_once():
    # Looked into from each of its quotes, it would take hours.
    assert "closing quotation mark" in refused(b'{"a": [Inf, "' + b'\\"' * 2_000_000)


@pytest.mark.parametrize("more", [b" x", b"}", b"\0", b"\xff", b'{"inputs": [2]}', b"\n\n"])
def test_what_follows_the_document_does_not_count(more):
    assert parse(b' {"inputs": [1]}' + more, signature(x="int32")).inputs["x"] == [1]
    assert refused(b"5" + more) == "JSON Value: 5 Is not object"


def test_of_a_key_that_comes_twice_the_first_counts():
    assert parse(b'{"inputs": [1], "inputs": [2]}', signature(x="int32")).inputs["x"] == [1]


def test_bytes_that_are_no_utf8_pass_inside_strings():
    assert parse(b'{"inputs": "\xff\xc3\xa4"}', signature(x="string")).inputs["x"][()] == (
        b"\xff\xc3\xa4"
    )


@pytest.mark.parametrize("text", ["YQ==", "YQ", "Y Q\n==", "YQ.."])
def test_base64_may_lack_padding_and_hold_white_space(text):
    request = parse({"inputs": {"b64": text}}, signature(x="string"))
    assert request.inputs["x"][()] == b"a"


@pytest.mark.parametrize("text", ["Y", "YQ=", "Y-_=", "YQ==YQ==", "=", "ä"])
def test_bad_base64(text):
    assert refused({"inputs": {"b64": text}}, signature(x="string")) == "Unable to base64 decode"


def test_deep_lists_are_refused_whether_the_parser_takes_them_or_not():
    for depth in (65, 300, 900, 5000):
        body = b'{"instances": ' + b"[" * depth + b"1" + b"]" * depth + b"}"
        assert refused(body, signature(x="int32"))


def test_messages_do_not_repeat_a_whole_picture():
    body = {"instances": [{"image": b64(bytes(100_000)), "caption": 5}], "inputs": 1}
    assert len(refused(body)) < 1_000


def test_the_name_of_a_signature():
    assert signature_name({}) == ""
    assert signature_name({"signature_name": "other"}) == "other"
    with pytest.raises(ServingError) as error:
        signature_name({"signature_name": 5})
    assert error.value.message == (
        'JSON Value: {\n    "signature_name": 5\n} not formatted correctly. '
        "'signature_name' key must be a string value."
    )


def test_a_signature_without_inputs_cannot_be_asked():
    assert refused({"inputs": {}}, signature()) == (
        "Failed to get input map for signature: DEFAULT"
    )


# ---------------------------------------------------------------------------------------- answers


def strings(*values):
    made = np.empty(len(values), object)
    made[:] = values
    return made


@pytest.mark.parametrize(
    ("outputs", "rows", "columns"),
    [
        ({"a": np.array([1, 2])}, [1, 2], [1, 2]),
        ({"a": np.array([[True], [False]])}, [[True], [False]], [[True], [False]]),
        ({"a": np.zeros((2, 0), np.float32)}, [[], []], [[], []]),
        ({"a": np.zeros((0, 2), np.float32)}, [], []),
        (
            {"a": np.float32([0.5]), "b": np.array([7])},
            [{"a": 0.5, "b": 7}],
            {"a": [0.5], "b": [7]},
        ),
        ({"a": strings(b'"\xc3\xa4\n')}, ['"ä\n'], ['"ä\n']),
        ({"a_bytes": strings(b"\xff")}, [{"b64": "/w=="}], [{"b64": "/w=="}]),
        ({"a_bytes": np.array([5])}, [5], [5]),
    ],
)
def test_answers(outputs, rows, columns):
    assert json.loads(write_predict(outputs, is_row=True)) == {"predictions": rows}
    assert json.loads(write_predict(outputs, is_row=False)) == {"outputs": columns}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.2), "0.2"),
        (np.float32(1), "1.0"),
        (np.float32(9e6), "9e+06"),
        (np.float32(3e-5), "3e-05"),
        (np.float32(1 / 3), "0.333333343"),
        (np.float64(0.1), "0.1"),
        (np.float64(1 / 3), "0.33333333333333331"),
        (np.float32(np.nan), "NaN"),
        (np.float32(np.inf), "Infinity"),
        (np.float64(-np.inf), "-Infinity"),
        (np.float16(0.5), "0.5"),
    ],
)
def test_floats_are_written_digit_for_digit_as_by_the_real_server(value, text):
    assert write_predict({"a": np.array(value)}, is_row=False) == f'{{"outputs": {text}}}'.encode()


def test_strings_that_are_no_utf8_are_written_as_they_are():
    assert write_predict({"a": strings(b"\xff")}, is_row=False) == b'{"outputs": ["\xff"]}'


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "Cannot convert empty tensor map to JSON"),
        ({"a": np.array(1)}, "Tensor name: a has no shape information "),
        (
            {"a": np.zeros(2), "b": np.zeros(3)},
            "Tensor name: b has inconsistent batch size: 3 expecting: 2",
        ),
        ({"a": np.zeros(2, complex)}, "Failed to write JSON value for tensor type: complex128"),
    ],
)
def test_outputs_without_a_row_form(outputs, message):
    with pytest.raises(ServingError) as error:
        write_predict(outputs, is_row=True)
    assert error.value.message == message
    assert error.value.code == grpc.StatusCode.INVALID_ARGUMENT


SHAPES = numpy_st.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)


@settings(max_examples=150)
@given(st.data(), st.sampled_from(["float", "double", "int32", "uint64", "bool"]), st.booleans())
def test_numbers_survive_the_round_trip(data, kind, is_row):
    dtype = DTYPES[kind][0]
    array = data.draw(numpy_st.arrays(dtype, SHAPES))
    written = json.loads(write_predict({"x": array}, is_row))
    if is_row and not len(array):
        return
    body = {"instances": written["predictions"]} if is_row else {"inputs": written["outputs"]}
    made = parse(body, signature(x=kind)).inputs["x"]
    assert made.dtype == dtype
    # A size of 0 hides the sizes after it.
    if array.size:
        np.testing.assert_array_equal(made, array, strict=True)


@settings(max_examples=100)
@given(st.lists(st.binary(), min_size=1), st.sampled_from(["x", "x_bytes"]))
def test_bytes_survive_the_round_trip(values, name):
    written = write_predict({name: strings(*values)}, is_row=True)
    body = written.replace(b'{"predictions"', b'{"instances"', 1)
    assert parse(body, signature(**{name: "string"})).inputs[name].tolist() == values


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("xyb"), inner),
    max_leaves=20,
)


def outcome(body, of):
    """The array, or the message of the refusal."""
    try:
        return parse(body, of).inputs["x"]
    except ServingError as error:
        return error.message


@settings(max_examples=300)
@given(st.sampled_from(sorted(DTYPES)), st.sampled_from(["instances", "inputs"]), JSON)
def test_any_value_gives_an_array_or_a_clean_refusal(kind, key, value):
    of = signature(x=kind)
    made = outcome({key: value}, of)
    if isinstance(made, str):
        # Said if what was refused at first glance turns out to be right.
        assert "dimensions" not in made
    else:
        assert made.dtype == of.inputs["x"].dtype
