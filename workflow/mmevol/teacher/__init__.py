"""The embedded teacher: an OpenAI-compatible server whose model is a symbolic program composer, not a language model.

It reads the fenced ``mmevol-request/1`` block that ends a prompt and nothing else, and answers each task by programs over the
annotations that the block carries. Every reply is a function of that block, the request's key and its content attempt.
"""
