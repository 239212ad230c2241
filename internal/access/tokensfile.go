package access

import "time"

// TokensFile is a file of tokens, read again when it changes.
type TokensFile struct{ file *followed[*Tokens] }

// OpenTokens reads the file. accept, which may be nil, says what else is wrong with tokens,
// now and whenever the file changes: that there are some for certificates, say, where none
// is asked for.
func OpenTokens(path string, accept func(*Tokens) error) (*TokensFile, error) {
	file, err := follow(rules[*Tokens]{
		parse: func(contents [][]byte) (*Tokens, error) {
			tokens, err := ParseTokens(contents[0])
			if err == nil && accept != nil {
				err = accept(tokens)
			}
			return tokens, err
		},
		tell: func(*Tokens) string { return "the tokens read before stay" },
	}, path)
	if err != nil {
		return nil, err
	}
	return &TokensFile{file}, nil
}

// Tokens returns those that are in force. It may be called from any goroutine.
func (f *TokensFile) Tokens() *Tokens { return f.file.current() }

// Look takes up what the file holds now, once two looks in a row have seen it, and returns
// what is worth telling. It is to be called about twice a second, from one goroutine.
func (f *TokensFile) Look(now time.Time) []Event {
	if event, ok := f.file.look(now); ok {
		return []Event{event}
	}
	return nil
}

// Failing returns why the file is not in force as it is; nil where it is. It may be called
// from any goroutine.
func (f *TokensFile) Failing() error { return f.file.failing() }
