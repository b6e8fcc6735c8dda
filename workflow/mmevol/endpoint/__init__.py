"""Talking to a model over the OpenAI protocol.

`prompt` lays out what is sent and computes its key, `client` sends it (retries, outages) as `limits` allow and counts it in
`usage`, `embedded` starts the embedded teacher where the study asks for it, `ask` walks the attempts of a question through the
reply store.
"""
