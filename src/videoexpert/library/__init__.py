"""Many videos: an index that is made once, and search over it.

manifest    what is known of every video, in one SQLite file
shards      one immutable file a video: frame embeddings, visual tokens
vectors     all embeddings as one memory-mapped matrix, and exact search in it
transcripts what is said, from subtitle files beside the videos
scan        folders -> videos, and why all else is none
build       folders -> library: incremental, resumable, several processes at once
find        sentences -> ranked moments across videos
export      library -> plain files for other programs
"""
