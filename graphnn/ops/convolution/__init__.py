"""Windows over signals and images: convolution and pooling."""
