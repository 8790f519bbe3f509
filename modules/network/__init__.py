"""The network: backbones, layers, and the model that joins both branches."""
