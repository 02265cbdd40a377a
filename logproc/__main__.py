"""`python -m logproc`."""

from logproc.main import main

main()
