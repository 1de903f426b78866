"""Many videos: an index that is made once, and search over it.

manifest    what is known of every video, in one SQLite file
cues        the words of transcripts and captions, and full-text search in them
shards      one immutable file a video: frame embeddings, visual tokens
vectors     all embeddings as one memory-mapped matrix, and exact search in it
snapshot    that matrix as it is now, and its best videos
graph       which rows of a very large matrix to look at
transcripts what is said, from subtitle files beside the videos
scan        folders and object stores -> videos, and why all else is none
hearing     transcripts as they are now -> words, without encoding
build       folders -> library: incremental, resumable, several processes at once
find        sentences -> ranked moments across videos
export      library -> plain files for other programs
"""
