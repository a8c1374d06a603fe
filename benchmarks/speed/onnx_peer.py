"""The article's synthesis for ONNX Runtime: the same weights, in the graph that ONNX users write."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.timing import fastest_slices
from codec.architecture import Convolutional
from codec.bundle import Bundle
from codec.synthesis import build_synthesis

__all__ = ["TOLERANCE", "graph", "prepare_synthesis"]

TOLERANCE = 1e-4
"""How far its pixels, in 0..1, may be from the library's."""
_CHECKED = 16
_SLICES = (16, 64, 256, 1024)


def graph(bundle: Bundle) -> bytes:
    """The ONNX model of a convolutional decoder: codes [N, channels, h, w] to images [N, C, H, W]."""
    from onnx import TensorProto, checker, helper, numpy_helper

    architecture = bundle.pair.architecture
    assert type(architecture) is Convolutional
    nodes, weights = [], []
    layers = bundle.parameters()

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def held(name: str, values: NDArray[np.float32]) -> str:
        weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    x = "codes"
    for number in range(architecture.layers):
        name = f"transposed_{number}"
        # ONNX turns its kernel round, flax does not; and it has inputs and features in front.
        kernel = held(f"{name}/kernel", layers[name]["kernel"][::-1, ::-1].transpose(2, 3, 0, 1))
        bias = held(f"{name}/bias", layers[name]["bias"])
        x = add("ConvTranspose", [x, kernel, bias], name, strides=[2, 2], pads=[0, 0, 1, 1])
        x = add("Relu", [x], f"relu_{number}")
    kernel = held("convolution/kernel", layers["convolution"]["kernel"].transpose(3, 2, 0, 1))
    bias = held("convolution/bias", layers["convolution"]["bias"])
    x = add("Conv", [x, kernel, bias], "convolution", pads=[1, 1, 1, 1])
    add("Sigmoid", [x], "images")
    inputs = helper.make_tensor_value_info(
        "codes", TensorProto.FLOAT, ["N", architecture.code_channels, "h", "w"]
    )
    outputs = helper.make_tensor_value_info(
        "images", TensorProto.FLOAT, ["N", architecture.image_channels, "H", "W"]
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(
        helper.make_graph(nodes, "synthesis", [inputs], [outputs], weights),
        opset_imports=[opset],
        ir_version=8,
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())


def prepare_synthesis(bundle: Bundle, codes: NDArray[np.float32], threads: int) -> Callable[[], Any]:
    """A call that makes float images of ``codes`` [N, h, w, channels], which lie in ONNX's order beforehand.

    Raises:
        ImportError: onnx or onnxruntime is not there.
        ValueError: the images are not the library's.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph(bundle), options, providers=["CPUExecutionProvider"])

    def images(codes: NDArray[np.float32]) -> Any:
        return session.run(None, {"codes": codes})[0]

    channels_first = np.ascontiguousarray(codes.transpose(0, 3, 1, 2))
    parameters = {"params": bundle.parameters()}
    expected = build_synthesis(bundle.pair.architecture).apply(parameters, codes[:_CHECKED])
    difference = np.abs(images(channels_first[:_CHECKED]).transpose(0, 2, 3, 1) - np.asarray(expected)).max()
    if not difference <= TOLERANCE:
        raise ValueError(f"expected the library's pixels to within {TOLERANCE:g}, found {difference:.3g}")
    return fastest_slices(images, channels_first, _SLICES)
