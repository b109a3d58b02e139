"""`python -m cli` is the `cos` command."""

from cli.app import main

main()
