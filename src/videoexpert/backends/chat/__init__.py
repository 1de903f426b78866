"""Chat models as backends: a local image-text-to-text model, or a server that speaks the same protocol."""
