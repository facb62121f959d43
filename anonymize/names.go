package anonymize

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// UnregisteredPrefix begins what is published for a name that no registry lists.
const UnregisteredPrefix = "unregistered-"

// nameContext keeps the hash that orders names apart from other uses of the key.
const nameContext = "plr unregistered name 1\x00"

// factorForm is what groups names: written by us, never free text.
var factorForm = regexp.MustCompile(`^[a-z][a-z_]*$`)

// AssignNames numbers names of a factor that are free text and so may not be
// published. A name keeps its number for ever, whatever other names come and go
// and whatever the key; several new ones get the next numbers in the order of a
// keyed hash, so that a number tells nothing of the name. On an error nothing
// has changed.
func (l *Lookup) AssignNames(factor string, names []string, key []byte) (added int, err error) {
	if err := l.Verify(key); err != nil {
		return 0, err
	}
	if !factorForm.MatchString(factor) {
		return 0, errors.New("the factor of unregistered names is not a word in lower case")
	}
	type newcomer struct {
		name  string
		order [32]byte
	}
	var newcomers []newcomer
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		if err := checkName(name); err != nil {
			return 0, fmt.Errorf("unregistered name of factor %s: %w", factor, err)
		}
		if _, ok := l.names[factor][name]; ok {
			continue
		}
		order, err := keyedSum(key, nameContext, factor+"\x00"+name)
		if err != nil {
			return 0, err
		}
		newcomers = append(newcomers, newcomer{name, order})
	}
	slices.SortFunc(newcomers, func(a, b newcomer) int { return bytes.Compare(a.order[:], b.order[:]) })
	next := 1
	if numbered := l.numbered(factor); len(numbered) > 0 {
		next = numbered[len(numbered)-1].number + 1
	}
	for i, n := range newcomers {
		if l.names[factor] == nil {
			l.names[factor] = map[string]int{}
		}
		l.names[factor][n.name] = next + i
	}
	return len(newcomers), l.sealWith(key)
}

// Name returns what is published in the place of a name: unregistered-1, ….
// There is nothing for a name that was never assigned.
func (l *Lookup) Name(factor, name string) (string, bool) {
	n, ok := l.names[factor][name]
	if !ok {
		return "", false
	}
	return UnregisteredPrefix + strconv.Itoa(n), true
}

type numberedName struct {
	number int
	name   string
}

// numbered are the names of a factor by number.
func (l *Lookup) numbered(factor string) []numberedName {
	var all []numberedName
	for name, number := range l.names[factor] {
		all = append(all, numberedName{number, name})
	}
	slices.SortFunc(all, func(a, b numberedName) int { return cmp.Compare(a.number, b.number) })
	return all
}

func checkName(name string) error {
	if !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return errors.New("it is not text in UTF-8")
	}
	return nil
}

// nameCount is the number of names of all factors.
func (l *Lookup) nameCount() int {
	n := 0
	for _, names := range l.names {
		n += len(names)
	}
	return n
}

// parseNames takes in the names of a file: factor → number → name.
func (l *Lookup) parseNames(file map[string]map[int]string) error {
	for factor, names := range file {
		if !factorForm.MatchString(factor) {
			return errors.New("has unregistered names of a factor that is not a word in lower case")
		}
		l.names[factor] = map[string]int{}
		for number, name := range names {
			if number < 1 || number > maxNumber {
				return fmt.Errorf("has a name of factor %s with a number that is not from 1 on", factor)
			}
			if err := checkName(name); err != nil {
				return fmt.Errorf("name %d of factor %s: %w", number, factor, err)
			}
			if other, ok := l.names[factor][name]; ok {
				return fmt.Errorf("names %d and %d of factor %s are the same", min(number, other), max(number, other), factor)
			}
			l.names[factor][name] = number
		}
	}
	return nil
}
