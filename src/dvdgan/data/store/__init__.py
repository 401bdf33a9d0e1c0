"""The packed store: a data set as one file of raw uint8 frames, or as tar shards, and an index.

A store is a directory of two files::

    frames.u8    the frames of all clips, one after another, each uint8 [H, W, 3] (RGB) or [H, W, 4] (RGBA)
    index.json   format and version, size, classes, what the clips are, the length of all frames, what was skipped, and
                 "clips": a list for each field of `Clip`, with an item for each clip in the order of their frames

With tar shards (`dvdgan.data.store.frame_files`) it has these in place of frames.u8; the index has how many clips and
bytes are in each ("shards"), and where in its shard each clip's frames begin ("clips": "offset").

Frames keep their aspect ratio; their short side is the store's size, so that training can crop where it likes. A store
is written to a hidden directory beside its place and renamed when it is whole.
"""
