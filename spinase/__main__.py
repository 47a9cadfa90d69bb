"""``python -m spinase``: the command line."""

from spinase.cli import main

if __name__ == "__main__":
    main()
