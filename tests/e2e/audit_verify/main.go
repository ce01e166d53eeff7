// Verifies an audit log with code that this project did not write: the packages that Go's checksum database is built
// on, golang.org/x/mod/sumdb/note and tlog. What stands here reads files and hands them over; every hash and every
// signature is made and checked there.
//
//	audit_verify log DIR VKEY             the whole log: signature, every tile, every entry, every handover, proofs
//	audit_verify proof ENTRY PROOF VKEY   one entry by its .tlog-proof
//
// The one adaptation: that database keeps its tiles under tile/HEIGHT/LEVEL/..., C2SP tlog-tiles under tile/LEVEL/...
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func main() {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "log":
		err = verifyLog(os.Args[2], os.Args[3])
	case len(os.Args) == 5 && os.Args[1] == "proof":
		err = verifyProof(os.Args[2], os.Args[3], os.Args[4])
	default:
		err = fmt.Errorf("usage: audit_verify log DIR VKEY | proof ENTRY PROOF VKEY")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func verifyLog(dir, vkey string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	checkpoint, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	// The size is believed for reading on; it is the tree it leads to that must be the one that was signed.
	claimed, err := parse(string(checkpoint))
	if err != nil {
		return err
	}
	derived, verifier, err := derive(dir, claimed.N, verifier)
	if err != nil {
		return err
	}
	signed, err := note.Open(checkpoint, note.VerifierList(verifier))
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	tree, err := parse(signed.Text)
	if err != nil {
		return err
	}
	root, err := tlog.TreeHash(tree.N, derived)
	if err != nil {
		return err
	}
	if tree.N == 0 {
		root = sha256.Sum256(nil) // tlog knows no root of the empty tree; RFC 6962 does
	}
	if root != tree.Hash {
		return fmt.Errorf("checkpoint: the entries hash to another root")
	}
	if err := compareTiles(dir, tree.N, derived); err != nil {
		return err
	}
	if err := checkProofs(dir, tree, derived); err != nil {
		return err
	}
	fmt.Printf("%d entries, signed by %s\n", tree.N, verifier.Name())
	return nil
}

// derive reads every entry and gives the hashes of the tree over them, and the verifier of the key in force at its end.
func derive(dir string, size int64, verifier note.Verifier) (hashes, note.Verifier, error) {
	var found hashes
	for n := int64(0); n < size; {
		width := size - n
		if width > 1<<height {
			width = 1 << height
		}
		path := strings.Replace(tilePath(tlog.Tile{H: height, L: 0, N: n >> height, W: int(width)}), "tile/0/", "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return nil, nil, err
		}
		for i := int64(0); i < width; i++ {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return nil, nil, fmt.Errorf("%s: cut short", path)
			}
			length := int(binary.BigEndian.Uint16(data))
			entry := data[2 : 2+length]
			data = data[2+length:]
			if verifier, err = look(entry, n, verifier); err != nil {
				return nil, nil, fmt.Errorf("%s: entry %d: %w", path, n, err)
			}
			more, err := tlog.StoredHashes(n, entry, found)
			if err != nil {
				return nil, nil, err
			}
			found = append(found, more...)
			n++
		}
		if len(data) > 0 {
			return nil, nil, fmt.Errorf("%s: more than its entries", path)
		}
	}
	return found, verifier, nil
}

// look checks that an entry says its own number, and follows it to another key where it hands the log over.
func look(data []byte, index int64, verifier note.Verifier) (note.Verifier, error) {
	var entry struct {
		Seq      *int64 `json:"seq"`
		Type     string `json:"type"`
		Handover string `json:"handover"`
	}
	if err := json.Unmarshal(data, &entry); err != nil {
		return nil, err
	}
	if entry.Seq == nil || *entry.Seq != index {
		return nil, fmt.Errorf("it says another number")
	}
	if entry.Type != "log.key_rotated" {
		return verifier, nil
	}
	handover, err := note.Open([]byte(entry.Handover), note.VerifierList(verifier))
	if err != nil {
		return nil, fmt.Errorf("handover: %w", err)
	}
	lines := strings.Split(handover.Text, "\n")
	if len(lines) != 6 || lines[0] != "stepwarden key handover v1" {
		return nil, fmt.Errorf("handover: five lines expected")
	}
	successor, err := note.NewVerifier(lines[4])
	if err != nil {
		return nil, err
	}
	if _, err := note.Open([]byte(entry.Handover), note.VerifierList(successor)); err != nil {
		return nil, fmt.Errorf("handover: successor: %w", err)
	}
	return successor, nil
}

// compareTiles holds every tile on disk against the one derived from the entries.
func compareTiles(dir string, size int64, derived hashes) error {
	for _, tile := range tlog.NewTiles(height, 0, size) {
		if now := int(size >> (height * uint(tile.L)) & 255); tile.W < 1<<height && tile.W != now {
			continue // the partial tile of an earlier size, which a log may have dropped
		}
		expected, err := tlog.ReadTileData(tile, derived)
		if err != nil {
			return err
		}
		found, err := os.ReadFile(filepath.Join(dir, tilePath(tile)))
		if err != nil {
			return err
		}
		if !bytes.Equal(found, expected) {
			return fmt.Errorf("%s: not what the entries give", tilePath(tile))
		}
	}
	return nil
}

// checkProofs proves entries and earlier trees from the tiles on disk alone.
func checkProofs(dir string, tree tlog.Tree, derived hashes) error {
	reader := tlog.TileHashReader(tree, tiles{dir, tree.N})
	for _, n := range []int64{0, 1, 255, 256, tree.N / 2, tree.N - 1} {
		if n < 0 || n >= tree.N {
			continue
		}
		leaf := derived[tlog.StoredHashIndex(0, n)]
		proof, err := tlog.ProveRecord(tree.N, n, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, n, leaf); err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
		old, err := tlog.TreeHash(n+1, derived)
		if err != nil {
			return err
		}
		growth, err := tlog.ProveTree(tree.N, n+1, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(growth, tree.N, tree.Hash, n+1, old); err != nil {
			return fmt.Errorf("from size %d: %w", n+1, err)
		}
	}
	return nil
}

func verifyProof(entryPath, proofPath, vkey string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	entry, err := os.ReadFile(entryPath)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(proofPath)
	if err != nil {
		return err
	}
	head, checkpoint, found := strings.Cut(string(data), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("no tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	signed, err := note.Open([]byte(checkpoint), note.VerifierList(verifier))
	if err != nil {
		return err
	}
	tree, err := parse(signed.Text)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

// parse reads a checkpoint's size and root.
func parse(text string) (tlog.Tree, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 {
		return tlog.Tree{}, fmt.Errorf("checkpoint: three lines expected")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return tlog.Tree{}, fmt.Errorf("checkpoint: no size")
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, fmt.Errorf("checkpoint: no root hash")
	}
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree, nil
}

func tilePath(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
}

// hashes is a tree in memory, in the order tlog stores it.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(h)) {
			return nil, fmt.Errorf("no hash %d", index)
		}
		found[i] = h[index]
	}
	return found, nil
}

// tiles is the folder of a log of some size.
type tiles struct {
	dir  string
	size int64
}

func (t tiles) Height() int { return height }

// ReadTiles gives the beginning of what is there now where tlog asks for a narrower tile of an earlier size.
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(wanted))
	for i, tile := range wanted {
		width := tile.W
		tile.W = 1 << height
		if there := t.size>>(height*uint(tile.L)) - tile.N<<height; there < int64(tile.W) {
			tile.W = int(there)
		}
		data, err := os.ReadFile(filepath.Join(t.dir, tilePath(tile)))
		if err != nil {
			return nil, err
		}
		if len(data) < width*tlog.HashSize {
			return nil, fmt.Errorf("%s: cut short", tilePath(tile))
		}
		found[i] = data[:width*tlog.HashSize]
	}
	return found, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}
