// Verify a log by the code of Go's checksum database (golang.org/x/mod/sumdb: note and tlog), which knows
// nothing of Cohortlink: checkpoint, every tile, every entry, proofs of inclusion and consistency.
//
// usage: verify DIR, with checkpoint, older, key, tile/<L>/<N>[.p/<W>], tile/entries/..., proofs.json
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type inclusion struct {
	Index  int64    `json:"index"`
	Hashes []string `json:"hashes"`
}

type proofs struct {
	Inclusion   []inclusion `json:"inclusion"`
	Consistency []string    `json:"consistency"`
}

func fail(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func read(parts ...string) []byte {
	data, err := os.ReadFile(filepath.Join(parts...))
	fail("read", err)
	return data
}

func open(text []byte, verifier note.Verifier) tlog.Tree {
	opened, err := note.Open(text, note.VerifierList(verifier))
	fail("note", err)
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		fail("checkpoint", fmt.Errorf("another origin"))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	fail("size", err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	fail("root", err)
	var tree tlog.Tree
	tree.N = size
	copy(tree.Hash[:], root)
	return tree
}

func hashes(texts []string) []tlog.Hash {
	found := make([]tlog.Hash, len(texts))
	for i, text := range texts {
		raw, err := hex.DecodeString(text)
		fail("hash", err)
		if len(raw) != tlog.HashSize {
			fail("hash", fmt.Errorf("%d bytes", len(raw)))
		}
		copy(found[i][:], raw)
	}
	return found
}

// tiles reads tiles at the paths of C2SP tlog-tiles, which name no height.
type tiles struct{ dir string }

func (t tiles) Height() int { return 8 }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(wanted))
	for i, tile := range wanted {
		path := strings.TrimPrefix(tile.Path(), "tile/8/")
		data, err := os.ReadFile(filepath.Join(t.dir, "tile", path))
		if err != nil {
			return nil, err
		}
		found[i] = data
	}
	return found, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func entries(dir string, size int64) [][]byte {
	var leaves [][]byte
	for number := int64(0); number*256 < size; number++ {
		width := size - number*256
		if width > 256 {
			width = 256
		}
		path := strings.TrimPrefix(tlog.Tile{H: 8, L: 0, N: number, W: int(width)}.Path(), "tile/8/0/")
		data := read(dir, "tile", "entries", path)
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			leaves = append(leaves, data[2:2+length])
			data = data[2+length:]
		}
	}
	return leaves
}

func main() {
	dir := os.Args[1]
	verifier, err := note.NewVerifier(strings.TrimSpace(string(read(dir, "key"))))
	fail("key", err)
	tree := open(read(dir, "checkpoint"), verifier)
	older := open(read(dir, "older"), verifier)

	leaves := entries(dir, tree.N)
	if int64(len(leaves)) != tree.N {
		fail("entries", fmt.Errorf("%d of %d", len(leaves), tree.N))
	}
	reader := tlog.TileHashReader(tree, tiles{dir})
	for index, leaf := range leaves {
		found, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(index))})
		fail("tiles", err)
		if found[0] != tlog.RecordHash(leaf) {
			fail("entry", fmt.Errorf("%d is not the one in the tile", index))
		}
	}
	root, err := tlog.TreeHash(tree.N, reader)
	fail("tree", err)
	if root != tree.Hash {
		fail("tree", fmt.Errorf("another root"))
	}

	var given proofs
	fail("proofs", json.Unmarshal(read(dir, "proofs.json"), &given))
	for _, each := range given.Inclusion {
		leaf := tlog.RecordHash(leaves[each.Index])
		fail("inclusion", tlog.CheckRecord(hashes(each.Hashes), tree.N, tree.Hash, each.Index, leaf))
	}
	fail("consistency", tlog.CheckTree(hashes(given.Consistency), tree.N, tree.Hash, older.N, older.Hash))
	fmt.Printf("%s: %d entries, %d proofs\n", verifier.Name(), tree.N, len(given.Inclusion))
}
