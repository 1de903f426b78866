"""Anything that can be asked about a video: our model, a contrastive encoder, a chat model, an endpoint."""
