class Culvert < Formula
  desc "Reach ports of a machine behind NAT through a relay that can read nothing"
  homepage "https://culvert.invalid/"
  version "1.2.3"
  license "Apache-2.0"

  on_macos do
    on_arm do
      url "https://example.org/v1.2.3/culvert_1.2.3_darwin_arm64.tar.gz"
      sha256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdd0"
    end
    on_intel do
      url "https://example.org/v1.2.3/culvert_1.2.3_darwin_amd64.tar.gz"
      sha256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdc0"
    end
  end

  on_linux do
    on_arm do
      url "https://example.org/v1.2.3/culvert_1.2.3_linux_arm64.tar.gz"
      sha256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdb0"
    end
    on_intel do
      url "https://example.org/v1.2.3/culvert_1.2.3_linux_amd64.tar.gz"
      sha256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcda0"
    end
  end

  def install
    bin.install "culvert"
    man1.install Dir["man/man1/*.1"]
    bash_completion.install "completions/culvert.bash" => "culvert"
    zsh_completion.install "completions/_culvert"
    fish_completion.install "completions/culvert.fish"
    doc.install "README.md", "culvert.cdx.json", "THIRD_PARTY_LICENSES"
  end

  def caveats
    <<~EOS
      To have it run from boot on:
        culvert service install --user
    EOS
  end

  test do
    system bin/"culvert", "demo", "--once"
  end
end
