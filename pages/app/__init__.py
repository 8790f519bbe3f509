"""The page to try a model on: pictures, captions, a folder to search, and verdicts that are kept.

It is Starlette with plain HTML. Gradio resolves with the lock, but it is 18 packages and 80 MB
more, asks api.gradio.app and Google's fonts unless it is told not to, and knows no way to drop an
answer that nobody waits for any more.
"""
