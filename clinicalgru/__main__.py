"""The command line as `python -m clinicalgru`, also under torchrun: `torchrun -m clinicalgru train ...`."""

from clinicalgru.cli.main import main

if __name__ == "__main__":
    main()
