"""Mean size of MNIST's test images as PNG files: Pillow's, optimised, really grey.

TFDS_DATA_DIR=... python -m benchmarks.png
"""

import json

from codec.imagefiles import png_bytes
from codec.training.data import load_dataset

if __name__ == "__main__":
    sizes = [len(png_bytes(image)) for image in load_dataset("mnist", "test")]
    print(json.dumps({"images": len(sizes), "bytes_per_image": sum(sizes) / len(sizes)}))
