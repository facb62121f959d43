package anonymize

import (
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/zeebo/blake3"
)

// A seal is a keyed hash of all entries: whoever edits the file by hand lacks
// either the key or the wish to compute it. Before it stands a hash that tells
// which key it was made with, so that a wrong key is not taken for an edit.
//
// Contexts keep the two apart from other uses of the key.
const (
	sealContext  = "plr lookup seal 1\x00"
	keyIDContext = "plr lookup key id 1\x00"
	keyIDSize    = 8 // bytes: enough to tell keys apart
)

// unsealed stands in the file for a seal that there is none of: in a ledger that
// no key has been used on yet, or whose key was lost.
const unsealed = "none"

var sealForm = regexp.MustCompile(`^[0-9a-f]{16}-[0-9a-f]{64}$`)

// Errors of [Lookup.Verify].
var (
	// ErrOtherKey: the ledger was sealed with another key than the one given.
	ErrOtherKey = errors.New("the lookup was sealed with another key: put lookup.key back from the backup that belongs to it; " +
		"if that key is lost for good and the lookup is known to be right, write \"seal: none\" in the place of its seal, " +
		"and the next build seals it with the new key")
	// ErrEdited: entries were changed, added or deleted other than by a build.
	ErrEdited = errors.New("the lookup was edited by hand: codes would no longer stand for the subjects that they were published for; " +
		"put the version before it (the file beside it that ends in .previous) or a backup in its place, " +
		"and the build gives later subjects their codes again")
)

// Sealed reports whether the ledger has a seal, so that [Lookup.Verify] can tell
// edits: one that another programme or an older version wrote has none until it
// is next written.
func (l *Lookup) Sealed() bool { return l.seal != "" }

// Verify reports, as [ErrOtherKey] or [ErrEdited], that the ledger is not as it
// was when a build with this key last wrote it. One without a seal passes.
func (l *Lookup) Verify(key []byte) error {
	if len(key) != KeySize {
		return fmt.Errorf("the seal of the lookup needs a key of %d bytes, not %d", KeySize, len(key))
	}
	if !l.Sealed() {
		return nil
	}
	id, sum, _ := strings.Cut(l.seal, "-")
	wantID, want, err := l.sums(key)
	switch {
	case err != nil:
		return err
	case id != wantID:
		return ErrOtherKey
	case subtle.ConstantTimeCompare([]byte(sum), []byte(want)) != 1:
		return ErrEdited
	}
	return nil
}

// sealWith seals the ledger as it is now.
func (l *Lookup) sealWith(key []byte) error {
	id, sum, err := l.sums(key)
	if err != nil {
		return err
	}
	l.seal = id + "-" + sum
	return nil
}

// sums are the hashes of the key and of the entries under it. Texts are hashed
// with their lengths, so that no two ledgers are hashed alike.
func (l *Lookup) sums(key []byte) (id, sum string, err error) {
	h, err := blake3.NewKeyed(key)
	if err != nil {
		return "", "", fmt.Errorf("seal of the lookup: %w", err)
	}
	_, _ = h.WriteString(keyIDContext) // a hash takes every byte
	id = hex.EncodeToString(h.Sum(nil)[:keyIDSize])

	h.Reset()
	_, _ = h.WriteString(sealContext)
	text := func(texts ...string) {
		for _, s := range texts {
			var size [8]byte
			binary.LittleEndian.PutUint64(size[:], uint64(len(s)))
			_, _ = h.Write(size[:])
			_, _ = h.WriteString(s)
		}
	}
	text(fmt.Sprint(l.adopted))
	for _, letter := range []string{controlLetter, eventLetter} {
		text(letter, fmt.Sprint(l.highest[letter]))
	}
	for _, code := range l.Codes() {
		text("code", code, l.codes[code])
	}
	for _, original := range slices.Sorted(maps.Keys(l.unlabelled)) {
		text("unlabelled", original)
	}
	for _, factor := range slices.Sorted(maps.Keys(l.names)) {
		for _, n := range l.numbered(factor) {
			text("name", factor, fmt.Sprint(n.number), n.name)
		}
	}
	return id, hex.EncodeToString(h.Sum(nil)), nil
}
