"""The audit log: an RFC 6962 Merkle tree in the files of C2SP tlog-tiles, which tools of others verify.

*Sequenced* is an entry with its index, durable in `ledger.db`; *integrated* is one in the tree and in durable tiles;
*published* is one under a signed checkpoint. An entry is acknowledged when it is sequenced.
"""
