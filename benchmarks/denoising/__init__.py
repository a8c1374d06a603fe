"""The section ``denoising``: a pair that cleans what it compresses, next to classical denoisers."""
