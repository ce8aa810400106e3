"""python -m fallow: the command line."""

from fallow._cli import main

main()
