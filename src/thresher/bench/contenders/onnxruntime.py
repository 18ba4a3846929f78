"""ONNX Runtime on the dense model: the fastest ordinary way to run one on a processor."""

import copy
import importlib
import io
import logging
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from thresher.bench.contender import Contender, Variant
from thresher.core.mask import Mask


class Session(nn.Module):
    """An ONNX Runtime session that is called like the module it was exported from."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self._session = session
        self._input = session.get_inputs()[0].name

    def forward(self, inputs: Tensor) -> Tensor:
        """The first output of the exported model."""
        return torch.from_numpy(self._session.run(None, {self._input: inputs.numpy()})[0])


def _build(model: nn.Module, mask: Mask, inputs: Tensor) -> nn.Module:
    onnxruntime = importlib.import_module("onnxruntime")
    file = io.BytesIO()
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own affairs
            program: Any = torch.onnx.export(copy.deepcopy(model).eval(), (inputs,), dynamo=True, verbose=False)
    finally:
        log.setLevel(level)
    program.save(file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # between calls its threads would go on spinning in the way of the other contenders
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return Session(onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"]))


ONNXRUNTIME = Contender({"dense": Variant(_build)}, package="onnxruntime", sparse=False, trains=False)
