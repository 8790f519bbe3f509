"""The pipeline on Kubeflow Pipelines and Vertex AI: compiled here, and run in containers there."""
