"""The composition root: settings and declarations in, running parts out. The only package that knows everyone."""
