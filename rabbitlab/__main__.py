from rabbitlab.cli import main

main()
