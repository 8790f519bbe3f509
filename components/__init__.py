"""Custom TFX components, one folder each: the spec and its executor.

The artifact types are here as well. TFX's Kubeflow runner wants the name of a custom type to be one
word, a dot and the class, and imports it by that name: "components.Report".
"""

from components.auditor.artifacts import Judgments
from components.leakage_guard.artifacts import LeakageReport
from components.model_card.artifacts import ModelCard
from components.report.artifacts import Report
from components.retrieval.artifacts import RetrievalMetrics

__all__ = ["Judgments", "LeakageReport", "ModelCard", "Report", "RetrievalMetrics"]
