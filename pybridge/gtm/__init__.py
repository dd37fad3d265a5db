"""GT.M as a host: the routines that M programs call, and their installation.

The `.m` files beside this one are the M side; `docs/gtm.md` is the guide.
"""
