"""`python -m kasparro` is the command line."""

from kasparro.cli.main import main

main()
