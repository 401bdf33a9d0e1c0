"""Quick forms of what `dvdgan.networks` computes, behind one switch.

Each stands beside its plain form, in the module that calls it, and gives the same outputs and gradients (to rounding):

- `recurrence.unroll`: the loop of the ConvGRU and of the TrajGRU (`dvdgan.networks.recurrent`).
- `warping.unroll_moving`: the loop of the TSRU. Both loops use kernels from `packed`, and `motion` to move the state.
- `batch_norm`: normalisation with gain, bias and ReLU (`dvdgan.networks.batch_norm`).
- `spectral`: power iteration, sigma and W / sigma (`dvdgan.networks.layers`).
- `upsampling.upsampled_convolution`: x2 nearest-neighbour upsampling, then a convolution (`dvdgan.networks.blocks`).
- `pooling.pooled_kernel`: a convolution and x2 average pooling in one (`dvdgan.networks.blocks`).
- `layout.gradient_like`: nothing but the memory layout of a gradient (`dvdgan.networks.generator`).

docs/speed.md has measurements. None of them has a second derivative with respect to weights or generator inputs.
"""

enabled = True
"""Whether networks run the quick forms. Set ``dvdgan.networks.kernels.enabled = False`` for the plain forms, which are
slower, but can be differentiated twice and stepped through in a debugger. It is read at every forward pass."""
