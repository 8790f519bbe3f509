"""Object stores as containers of Kubeflow and Vertex AI have them: as folders."""

GOOGLE = "gs://"

FOLDERS = {GOOGLE: "/gcs/", "s3://": "/s3/", "minio://": "/minio/"}
"""Address of an object store to the folder where containers find it: Kubeflow's launcher copies
artifacts there and back, Vertex AI mounts all of Cloud Storage."""


def local_path(uri: str) -> str:
    """Where a container finds what lies in an object store; other paths as they are."""
    for scheme, folder in FOLDERS.items():
        if uri.startswith(scheme):
            return folder + uri.removeprefix(scheme)
    return uri
