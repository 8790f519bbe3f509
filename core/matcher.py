"""The matcher in numbers: what it takes to rank embeddings without TensorFlow."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MatcherWeights:
    """The weights of a matcher that joins by cosine; see `modules.network.model`.

    A pushed model offers them as `matcher_weights`, by the names of these fields; float32, but for
    the sizes.

    Attributes:
      cosine_scale: [], weight of the cosine similarity.
      bias: [].
      classifier_kernel: [D, V], from an embedding to the logits of all attributes' values.
      classifier_bias: [V].
      shares: [V], of the values among the training pairs.
      sizes: int32 [A], number of values of each attribute; they sum up to V. A may be 0.
      least_agreement: [], is added before the logarithm.
      agreement_scales: [A], weight of each attribute.
      low: [], slope of the calibration where logits are low; above 0.
      high: [], slope where they are high; above 0.
      offset: [], of the calibration.
      least_probability: [], probabilities are at least this, and at most 1 less this.
    """

    cosine_scale: Floats
    bias: Floats
    classifier_kernel: Floats
    classifier_bias: Floats
    shares: Floats
    sizes: npt.NDArray[np.int32]
    least_agreement: Floats
    agreement_scales: Floats
    low: Floats
    high: Floats
    offset: Floats
    least_probability: Floats
