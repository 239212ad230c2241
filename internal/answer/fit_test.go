package answer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// What must go goes in this order: the additional section at once, then the last of the answers.
func TestMessagesFitWholeSectionsAtATime(t *testing.T) {
	longKey := strings.Repeat(strings.Repeat("k", 60)+".", 4)
	for _, tc := range []struct {
		sentence        string
		answers, glue   int
		soa             bool
		key             string // of the signature; empty for none
		room            int
		wantAnswers     int // -1 is as many as there is room for
		wantGlue, wantT bool
	}{
		{"all of it, where there is room", 5, 5, false, "", 512, 5, true, false},
		{"no glue, where there is room for part of it", 10, 20, false, "", 512, 10, false, false},
		{"less than all answers, where there is no room for them", 100, 100, false, "", 512, -1, false, true},
		{"all of it below a signature", 5, 5, false, "key.", 512, 5, true, false},
		{"no glue below a signature", 10, 20, false, "key.", 512, 10, false, false},
		{"fewer answers below a signature", 100, 0, false, "key.", 512, -1, false, true},
		{"fewer still below a large one", 100, 0, false, longKey, 512, -1, false, true},
		{"a start of authority that has room", 0, 0, true, "key.", 512, 0, false, false},
		{"a start of authority that has none", 0, 0, true, "key.", 170, 0, false, true},
		{"as many as go into 64 KiB", 6000, 10, false, "", 65535, -1, false, true},
		{"as many below a signature", 6000, 10, false, "key.", 65535, -1, false, true},
		{"nothing but the question, where there is no room even for the signature", 10, 10, false, longKey, 300, 0, false, true},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			m := new(dns.Msg).SetQuestion("web.prod.svc.cluster.local.", dns.TypeA)
			m.Response = true
			for n := range tc.answers {
				m.Answer = append(m.Answer, newRR(t, fmt.Sprintf("web.prod.svc.cluster.local. 5 IN A 198.18.%d.%d", n>>8, n&255)))
			}
			if tc.soa {
				m.Ns = append(m.Ns, newRR(t, "cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5"))
			}
			for n := range tc.glue {
				m.Extra = append(m.Extra, newRR(t, fmt.Sprintf("web-%d.web.prod.svc.cluster.local. 5 IN A 198.18.%d.%d", n, n>>8, n&255)))
			}
			m.SetEdns0(1232, false)
			signature := 0
			if tc.key != "" {
				m.SetTsig(tc.key, dns.HmacSHA256, 300, 0)
				m.IsTsig().MAC, m.IsTsig().MACSize = strings.Repeat("00", 32), 32
				signature = dns.Len(m.IsTsig())
			}
			Fit(m, tc.room)

			body := m.Copy()
			if tc.key != "" {
				if m.IsTsig() == nil {
					t.Fatal("the signature is gone, or not the last")
				}
				body.Extra = body.Extra[:len(body.Extra)-1]
			}
			packed, err := body.Pack()
			if err != nil {
				t.Fatal(err)
			}
			size := len(packed) + signature
			if size > tc.room && len(m.Answer)+len(m.Ns) > 0 {
				t.Errorf("%d bytes, want at most %d", size, tc.room)
			}
			if m.IsEdns0() == nil {
				t.Error("the OPT record is gone")
			}
			if glue := len(body.Extra) - 1; glue != 0 && !tc.wantGlue || glue != tc.glue && tc.wantGlue {
				t.Errorf("%d additional records of %d, want all: %t", glue, tc.glue, tc.wantGlue)
			}
			if m.Truncated != tc.wantT {
				t.Errorf("TC is %t, want %t", m.Truncated, tc.wantT)
			}
			if tc.wantAnswers >= 0 && len(m.Answer) != tc.wantAnswers {
				t.Errorf("%d answers, want %d", len(m.Answer), tc.wantAnswers)
			}
			if tc.wantAnswers < 0 && (len(m.Answer) == 0 || size+minRecordBytes+4 <= tc.room) {
				t.Errorf("%d answers in %d bytes: one more fits into %d", len(m.Answer), size, tc.room)
			}
			for n, rr := range m.Answer {
				if want := fmt.Sprintf("198.18.%d.%d", n>>8, n&255); rr.(*dns.A).A.String() != want {
					t.Fatalf("answer %d is %s, want the first ones", n, rr)
				}
			}
		})
	}
}

// FuzzFit holds that no message is made longer, and that one that is cut says so.
func FuzzFit(f *testing.F) {
	m := new(dns.Msg).SetQuestion("web.prod.svc.cluster.local.", dns.TypeA).SetEdns0(1232, true)
	m.SetTsig("key.", dns.HmacSHA256, 300, 0)
	packed, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed, uint16(512))
	f.Fuzz(func(t *testing.T, packed []byte, room uint16) {
		m := new(dns.Msg)
		if m.Unpack(packed) != nil {
			t.Skip()
		}
		was := m.Copy()
		Fit(m, int(room))
		if len(m.Answer) > len(was.Answer) || len(m.Ns) > len(was.Ns) || len(m.Extra) > len(was.Extra) {
			t.Errorf("got %s\nof %s", m, was)
		}
		if missing := len(m.Answer) < len(was.Answer); missing && !m.Truncated {
			t.Errorf("answers are missing, and TC is not set: %s\nof %s", m, was)
		}
		if !slices.EqualFunc(m.Answer, was.Answer[:len(m.Answer)], func(a, b dns.RR) bool { return a.String() == b.String() }) {
			t.Errorf("other answers: %s\nof %s", m, was)
		}
	})
}

func newRR(t *testing.T, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}
