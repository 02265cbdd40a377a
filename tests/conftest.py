"""What holds for all tests."""

import signal

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests that press it need it to be heard.
signal.signal(signal.SIGINT, signal.default_int_handler)
